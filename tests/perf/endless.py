"""A section that never ends."""

import threading


def main(quick: bool) -> None:
    threading.Event().wait()
