"""The adapter: the service's method as an endpoint, the block that servers are built of."""

from example_counter.service import Counter
from falconkit import Context, Endpoint


def add_endpoint(counter: Counter) -> Endpoint[int, int]:
    """Make the endpoint ``add`` of a counter."""

    def add(ctx: Context, v: int) -> int:
        return counter.add(v, ctx.request_id)

    return add
