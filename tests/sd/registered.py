"""A service that registers itself, to be put under gunicorn."""

from __future__ import annotations

import os

from falconkit.sd import Instance, Registrar
from falconkit.sd.etcd import EtcdRegistry
from falconkit.transport import http

registry = EtcdRegistry(os.environ["ETCD"], timeout=10.0)
here = Instance("127.0.0.1", int(os.environ["HERE"]), id=str(os.getpid()))
registrar = Registrar(registry, os.environ["SERVICE"], here, ttl=float(os.environ["TTL"]))
app = http.app(registrar=registrar)
