import json

from falconkit.server.gunicorn import *  # noqa: F403

threads = 3
accesslog = "-"


def _say(what):
    print(json.dumps({"user": what}), flush=True)


def on_starting(arbiter):
    import os

    _say(f"on_starting {bool(os.environ.get('FALCONKIT_RUN'))}")


def post_worker_init(worker):
    _say(f"post_worker_init {worker.cfg.threads}")


def worker_exit(arbiter, worker):
    _say("worker_exit")
    raise ValueError("the user's hook failed")
