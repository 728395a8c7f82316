"""A middleware of our own: what a service behind us says of business, we say to our caller."""

from falconkit import Context, Endpoint
from falconkit.endpoint import Req, Res
from falconkit.errors import Failed


def pass_on(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
    """Make a business failure behind us one of ours; else it would be a 502."""

    def call(ctx: Context, request: Req) -> Res:
        try:
            return next(ctx, request)
        except Failed as failure:
            raise Failed(str(failure)) from failure

    return call
