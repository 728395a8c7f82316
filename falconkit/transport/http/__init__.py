"""HTTP: endpoints served by Falcon, and endpoints of other services called."""

from falconkit.transport.http import extractors
from falconkit.transport.http.app import App
from falconkit.transport.http.client import Client
from falconkit.transport.http.codec import json_decoder, json_encoder
from falconkit.transport.http.factory import app
from falconkit.transport.http.reply import Answer, Finished, Reply
from falconkit.transport.http.request import Request
from falconkit.transport.http.server import Server
from falconkit.transport.http.service import Service, service

__all__ = [
    "Answer",
    "App",
    "Client",
    "Finished",
    "Reply",
    "Request",
    "Server",
    "Service",
    "app",
    "extractors",
    "json_decoder",
    "json_encoder",
    "service",
]
