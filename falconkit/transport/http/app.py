"""A Falcon app whose routes are endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import get_ident
from typing import Any, TypeVar, Unpack, cast

import falcon
from falcon.constants import COMBINED_METHODS
from falcon.routing import DefaultRouter

from falconkit.context import Context, current, keep_ids
from falconkit.debug.scrape import Exposed
from falconkit.endpoint import Middleware
from falconkit.errors import ConfigurationError
from falconkit.events import Events
from falconkit.layers import layers
from falconkit.metrics import Metrics
from falconkit.naming import innermost, name_of, named
from falconkit.reporting import Hook, Options, Reporter
from falconkit.sd.registrar import Registrar
from falconkit.tracing import Tracer
from falconkit.transport.http import extractors, infer
from falconkit.transport.http.extractors import Extractor
from falconkit.transport.http.host import Host
from falconkit.transport.http.plain_falcon import UNMATCHED, PlainFalcon
from falconkit.transport.http.reply import Body, Reply
from falconkit.transport.http.request import NO_PARAMS, Request, request_of
from falconkit.transport.http.routes import Route, Wired, check_template, methods_of
from falconkit.transport.http.server import METHODS, Server
from falconkit.transport.http.status import MethodNotAllowed, NoSuchPath
from falconkit.transport.http.verbs import Endpoint, RouteOptions, Verbs
from falconkit.transport.http.wsgi import StartResponse, close_after, status_line

C = TypeVar("C")


class App(Verbs, falcon.App[Any, Any]):
    """A `falcon.App`: endpoints are added by `post` and its like, plain resources as ever.

    Make one with `app`.

    Attributes:
        events: Who hears what the concerns tell: `Events.listen`.
        metrics: What ``/debug/vars`` shows.
        watched: What it calls, and shows on ``/debug``: see `watch`.
        prometheus: What Prometheus reads at ``/metrics``, None when there is no such page.
        in_flight: Of each thread that serves a request: since when (seconds
            of the monotonic clock), and the request's context.
    """

    def __init__(
        self,
        host: Host,
        *,
        metrics: Metrics,
        observe: Middleware,
        before: Sequence[Extractor] = (),
        tracer: Tracer | None = None,
        around: Middleware | None = None,
        registrar: Registrar | None = None,
        prometheus: Exposed | None = None,
        **falcon_s: Any,
    ) -> None:
        self._host = host
        self._around = around
        self.watched: tuple[Any, ...] = ()
        self._before = tuple(before)
        self._routes: dict[str, Route] = {}
        self._fast: dict[str, Route] | None = {}
        self._names: dict[str, Any] = {UNMATCHED: None}
        self.metrics = metrics
        self.prometheus = prometheus
        self._tracer = tracer
        self._registrar = registrar
        router = falcon_s.pop("router", None) or DefaultRouter()
        self._find = router.find
        self._plain = PlainFalcon(observe, host)
        super().__init__(request_type=Request, router=router, **falcon_s)
        self._plain.install(self)
        host.left_to_falcon = ()
        self._fast = None if self._unprepared_middleware else {}
        host.options = self.req_options

    @property
    def events(self) -> Events:
        """Who hears what the concerns tell."""
        return self._host.events

    @property
    def in_flight(self) -> dict[int, tuple[float, Context]]:
        """Of each thread that serves a request: since when, and the request's context."""
        return self._host.in_flight

    @property
    def wired(self) -> tuple[Wired, ...]:
        """How each endpoint is wired, by the order in which the routes were added."""
        return tuple(each for route in self._routes.values() for each in route.wired())

    @property
    def unmatched(self) -> Wired:
        """How what no route takes is wired."""
        endpoint = self._plain.unmatched_endpoint
        return Wired("", "", UNMATCHED, layers(endpoint), endpoint)

    @property
    def draining(self) -> bool:
        """True once `drain` was called."""
        return self._host.draining

    def start(self) -> None:
        """Register, where there is a registrar: in a process that is about to serve."""
        if self._registrar is not None:
            self._registrar.start()

    def drain(self) -> None:
        """Say 503 on ``/health/ready`` from now on, and close connections after their answer.

        The registrar deregisters meanwhile, if no other process of the host goes on.
        """
        self._host.draining = True
        if self._registrar is not None:
            self._registrar.leave()

    def on_error(self, hook: Hook, **options: Unpack[Options]) -> Reporter:
        """Hand errors to ``hook``, off the request's way: see `falconkit.reporting.Reporter`.

        That is what endpoints and plain resources raise and is answered with a status of 500
        and above, but no refusal; the trouble that concerns tell as events; and what falconkit
        and gunicorn log at ``error``. Several hooks may be added.

        Args:
            hook: ``(report) -> anything``.
            **options: What `falconkit.reporting.Reporter` takes.

        Returns:
            The reporter, by which errors of your own threads can be reported, too.

        Raises:
            ConfigurationError: A value cannot be used.
        """
        reporter = Reporter(hook, **options)
        counters = {what: self.metrics.counter(f"errors.{what}") for what in reporter.counts}
        reporter.attach(lambda what, how_many: counters[what].add(how_many))
        self.events.listen(reporter.heard)
        self._host.reporters += (reporter,)
        return reporter

    def watch(self, called: C) -> C:
        """Show what this app calls on ``/debug``: its instances, breakers, rates and latency.

        >>> from falconkit.transport import http
        >>> app = http.app()
        >>> counter = app.watch(http.service("counter", sd="static://10.0.0.1:8000"))
        >>> add = counter.post("/add", returns=int)

        Args:
            called: A service, as `service` makes, or an endpoint of a client.

        Returns:
            The same.
        """
        self.watched = (*self.watched, called)
        return called

    def close(self) -> None:
        """Deregister, flush spans, metrics and reports and stop every thread the app started."""
        if self._registrar is not None:
            self._registrar.close()
        self._host.limits.cutoff.close()
        if self._tracer is not None:
            self._tracer.close()
        for each in self._host.reporters:  # before the metrics, which are still to be sent
            each.close()
        self.metrics.close()

    def route(
        self,
        method: str,
        path: str,
        endpoint: Endpoint,
        chain: Middleware | None = None,
        **options: Unpack[RouteOptions],
    ) -> None:
        """Answer ``method`` on ``path`` by ``endpoint``.

        Args:
            method: ``GET``, ``POST``, ``PUT``, ``PATCH`` or ``DELETE``.
            path: As in Falcon: ``/users/{id}``.
            endpoint: ``(context, request) -> response``.
            chain: The middleware around it.
            **options: See `RouteOptions`.

        Raises:
            ConfigurationError: The method is unknown, the path has that method,
                another endpoint has that name, or the request's type cannot
                be inferred or filled from the path.
        """
        if method not in METHODS:
            raise ConfigurationError(f"the method {method!r} is none of {', '.join(METHODS)}")
        name = options.get("name")
        if name is not None:
            endpoint = named(name)(endpoint)
        if options.get("decode") is None:
            check_template(path, method, infer.request_type(endpoint), name_of(endpoint))
        self._claim(endpoint)
        options["before"] = (*self._before, *options.get("before", ()))
        options["name"] = None
        if chain is not None:
            endpoint = chain(endpoint)
        server = Server(
            endpoint if self._around is None else self._around(endpoint),
            methods=(method,),
            host=self._host,
            **options,
        )
        route = self._routes.get(path) or Route(path, self._plain.on_options)
        route.add(method, server)
        super().add_route(path, route)
        self._routes[path] = route
        if self._fast is not None and "{" not in path:
            self._fast[path] = route

    def add_route(self, uri_template: str, resource: object, **kwargs: Any) -> None:
        """Add a plain Falcon resource, as in Falcon.

        Raises:
            ConfigurationError: Endpoints have the path.
        """
        if uri_template in self._routes:
            raise ConfigurationError(f"the path {uri_template!r} has endpoints already")
        super().add_route(uri_template, resource, **kwargs)

    def add_middleware(self, middleware: Any) -> None:
        """Add Falcon middleware, as in Falcon; every request then takes Falcon's whole way."""
        super().add_middleware(middleware)
        if self._unprepared_middleware:
            self._fast = None

    def add_error_handler(self, exception: Any, handler: Any = None) -> None:
        """Add an error handler, as in Falcon; it also gets what endpoints raise."""
        super().add_error_handler(exception, handler)
        kinds = tuple(exception) if isinstance(exception, Iterable) else (exception,)
        self._host.left_to_falcon += kinds
        self._fast = None

    def __call__(self, env: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request (PEP 3333)."""
        fast = self._fast
        if fast is not None:
            params = NO_PARAMS
            route = fast.get(env["PATH_INFO"])
            if route is None:
                found = self._find(env["PATH_INFO"])
                if found is not None and type(found[0]) is Route:
                    route, params = found[0], found[2]
            if route is not None:
                server = route.servers.get(env["REQUEST_METHOD"])
                if server is not None:
                    request = request_of(env, self.req_options, self._host.limits, params)
                    return server.answer(request, start_response)
        return self._falcon_s_way(env, start_response)

    def _falcon_s_way(self, env: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        host = self._host
        env["falconkit.limits"] = host.limits
        ctx = host.start(Request(env), host.events)
        # So that whoever reads the header from here on finds the id in use.
        env["HTTP_X_REQUEST_ID"] = ctx.request_id

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            if not any(name.lower() == "x-request-id" for name, _ in headers):
                headers.append(("X-Request-ID", ctx.request_id))
            if host.draining or env.get("falconkit.close"):
                close_after(start_response, headers)
            return start_response(status, headers, *exc_info)

        token = current.set(ctx)
        thread = get_ident()
        host.in_flight[thread] = host.clock.monotonic(), ctx
        try:
            body = self._stranger(env, start) or super().__call__(env, start)
        except BaseException as error:
            keep_ids(error, ctx)
            raise
        finally:
            current.reset(token)
            host.in_flight.pop(thread, None)
        # What a server sends by itself, as gunicorn does files, is left to it.
        whole = isinstance(body, list | Body) or type(body) is env.get("wsgi.file_wrapper")
        return body if whole else Body(ctx, Reply(200, [], body), (), 0.0, host.clock)

    def _stranger(
        self, env: dict[str, Any], start_response: StartResponse
    ) -> Iterable[bytes] | None:
        # Falcon answers 400 to a method that is none, and nobody sees it.
        method = env["REQUEST_METHOD"]
        if method in COMBINED_METHODS and method != "WEBSOCKET":
            return None
        found = self._find(extractors.path_of(env))
        if found is None and method != "WEBSOCKET":
            return None
        error = MethodNotAllowed(methods_of(found[0])) if found else NoSuchPath()
        reply = self._plain.unmatched(error, Request(env))
        body = cast(bytes, reply.body)
        start_response(
            status_line(reply.status), [*reply.headers, ("Content-Length", str(len(body)))]
        )
        return [body]

    def _claim(self, endpoint: Endpoint) -> None:
        name = name_of(endpoint)
        inner = innermost(endpoint)
        if name in self._names and self._names[name] != inner:
            raise ConfigurationError(
                f"the app has an endpoint {name!r} already, and both would share one count and "
                "one limit: give this one name="
            )
        self._names[name] = inner
