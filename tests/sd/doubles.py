"""What stands in for discovery and for instances in the tests of balancing."""

from __future__ import annotations

from falconkit.sd import Endpointer, Instance, Snapshot


class Told:
    """An instancer that knows what a test tells it."""

    def __init__(self, *addresses: str) -> None:
        self.now = Snapshot(tuple(map(Instance.parse, addresses))) if addresses else None
        self.listeners = []

    def tell(self, *instances, failure=None):
        parsed = [Instance.parse(each) if isinstance(each, str) else each for each in instances]
        self.now = Snapshot(tuple(parsed), failure)
        for listener in list(self.listeners):
            listener(self.now)

    def fail(self, failure):
        self.now = Snapshot(self.now.instances if self.now else (), failure)
        for listener in list(self.listeners):
            listener(self.now)

    def listen(self, listener):
        self.listeners.append(listener)
        if self.now is not None:
            listener(self.now)

    def forget(self, listener):
        self.listeners.remove(listener)

    def close(self):
        pass


class Factory:
    """Makes endpoints that answer their address, and counts what it made and closed."""

    def __init__(self, answer=None) -> None:
        self.made, self.closed = [], []
        self.answer = answer

    def __call__(self, instance):
        return _Endpoint(self, instance)


class _Endpoint:
    def __init__(self, factory, instance) -> None:
        self.factory, self.address = factory, instance.address
        factory.made.append(self.address)

    def __call__(self, ctx, request):
        if self.factory.answer is not None:
            return self.factory.answer(self.address, ctx, request)
        return self.address

    def close(self):
        self.factory.closed.append(self.address)


def many(count: int) -> list[str]:
    return [f"10.0.{n // 250}.{n % 250 + 1}:80" for n in range(count)]


def over(*addresses: str, answer=None, **options) -> Endpointer:
    return Endpointer(Told(*addresses), Factory(answer), **options)
