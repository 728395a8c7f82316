"""Transports: what carries a request to an endpoint, and a client endpoint's request out."""
