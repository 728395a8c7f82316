"""State that the workers of one host share: counters, token buckets and tables."""

from falconkit.arena.arena import Arena
from falconkit.arena.buckets import Buckets
from falconkit.arena.default import default_arena
from falconkit.arena.journal import Journal
from falconkit.arena.record import Record
from falconkit.arena.records import Records
from falconkit.arena.series import Series, Unsent
from falconkit.arena.slots import Slots
from falconkit.arena.table import Table

__all__ = [
    "Arena",
    "Buckets",
    "Journal",
    "Record",
    "Records",
    "Series",
    "Slots",
    "Table",
    "Unsent",
    "default_arena",
]
