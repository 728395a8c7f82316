"""What runs the app under gunicorn; see ``docs/gunicorn.md``.

``falconkit.server.gunicorn`` is the settings, for gunicorn's ``-c``.
"""
