"""The composition root: the only place that knows the concrete classes. Starts, drains and stops the server."""

from __future__ import annotations

import logging
import threading
import time
from functools import partial
from importlib import metadata

from convserve_proto import open_inference, vision_pb2
from convserve_proto.cpu_kind import X86, cpu_kind

from convserve_server.artifacts import read_artifact
from convserve_server.door import Door
from convserve_server.engine.batcher import Limits
from convserve_server.engine.cpus import usable_cpus
from convserve_server.engine.cuda import CudaSettings
from convserve_server.engine.loading import Loader
from convserve_server.engine.model_settings import ModelSettings
from convserve_server.engine.polling import Poller
from convserve_server.engine.repository import Repository
from convserve_server.engine.session import EngineSettings, check_distributions
from convserve_server.errors import InvalidSettings, ModelBroken
from convserve_server.load import Load
from convserve_server.memory import Rest, give_back_memory
from convserve_server.metrics_endpoint import MetricsEndpoint
from convserve_server.model_configs import read_model_settings
from convserve_server.observe.observation import Observation
from convserve_server.observe.profile_page import ProfilePage
from convserve_server.port_file import write_port
from convserve_server.rpc.convolution import Convolution
from convserve_server.rpc.convolution_request import convolution_limits
from convserve_server.rpc.health import SERVICE as HEALTH_SERVICE
from convserve_server.rpc.health import Health
from convserve_server.rpc.image_classifier import ImageClassifier
from convserve_server.rpc.images import ImageLimits
from convserve_server.rpc.open_inference_service import OpenInferenceService
from convserve_server.rpc.reflection import Reflection
from convserve_server.settings import Settings
from convserve_server.transport.choice import Transport, make_transport
from convserve_server.transport.connections import ConnectionLimits
from convserve_server.transport.listening import TransportSettings

log = logging.getLogger(__name__)

_VISION = vision_pb2.DESCRIPTOR.services_by_name
CLASSIFIER_SERVICE = _VISION["ImageClassifier"].full_name
CONVOLUTION_SERVICE = _VISION["Convolution"].full_name
_TASKS = {CLASSIFIER_SERVICE: "image_classification", CONVOLUTION_SERVICE: "convolution"}

_REST_SECONDS = 1.0
"""Without a call for so long, a server that was busy gives memory back."""
# More run slots than this have nothing to win: a leader that waits for the interpreter lock runs nothing.
MAX_INSTANCES = 4


class App:
    """One server: make it, start() it, stop() it. Both may be called from any thread, each once.

    Who has a say in when it listens, loads and becomes ready calls listen(), load() and serve() instead of start().
    Raises EngineUnavailable when ONNX Runtime does not work.
    """

    def __init__(self, settings: Settings, *, shared_port: bool = False) -> None:
        log.info("convserve %s on %s", metadata.version("convserve"), check_distributions())
        if settings.load_model and settings.repository_mode != "explicit":
            raise InvalidSettings(
                f"--load-model names {', '.join(settings.load_model)}, but --repository-mode is "
                f"{settings.repository_mode}, which serves every model of the repository; give --repository-mode "
                "explicit with it, or leave it out"
            )
        self._settings = settings
        self._door = Door(settings)
        self._serving = threading.Event()
        self._told: set[str] = set()
        self._telling = threading.Lock()
        self.repository = make_repository(settings)
        self.repository.on_change = self._changed
        self.repository.on_loaded = give_back_memory
        self._poller = Poller(self.repository.refresh, settings.poll_seconds)
        services = [open_inference.SERVICE, CLASSIFIER_SERVICE, CONVOLUTION_SERVICE]
        self._health = Health(services)
        self._reflection = Reflection((*services, HEALTH_SERVICE))
        self._observation = Observation(settings, self._door.name_of)
        self._load = Load(settings.max_waiting_bytes)
        self._rest = Poller(Rest(self._load).look, _REST_SECONDS)
        self._open_inference = OpenInferenceService(
            self.repository,
            self._ready,
            self._load,
            version=metadata.version("convserve"),
            repository_mode=settings.repository_mode,
            trace_file=settings.trace_file,
            observed=self._observation.method,
            admit=self._door.admit,
        )
        methods = [
            *self._open_inference.methods(),
            *ImageClassifier(self.repository, ImageLimits(max_decode_time=settings.max_decode_time)).methods(),
            *Convolution(self.repository, convolution_limits(settings.max_decode_time)).methods(),
        ]
        methods = [self._observation.method(method) for method in methods]
        self._metrics = self._metrics_endpoint() if settings.metrics is not None else None
        self._transport: Transport | None = None
        self._make_transport = partial(
            make_transport,
            settings.transport,
            TransportSettings(
                listen=settings.listen,
                max_message_bytes=settings.max_message_bytes,
                max_calls=settings.max_calls,
                load=self._load,
                max_transfer_time=settings.max_transfer_time,
                connections=_connections(settings),
                loops=max(2, _instances(settings)),
                credentials=self._door.credentials,
                admit=self._door.admit,
                shared_port=shared_port,
            ),
            methods,
            [self._health.add_to, self._reflection.add_to, self._open_inference.add_to],
        )

    @property
    def port(self) -> int:
        """The port that the server is bound to, once it listens."""
        if self._transport is None:
            raise RuntimeError("the server does not listen yet")
        return self._transport.port

    @property
    def metrics_port(self) -> int | None:
        """The port of the metrics, where they are served."""
        return None if self._metrics is None else self._metrics.port

    def start(self) -> None:
        """Serve, not ready at first; load and warm the models; become ready.

        Raises InvalidSettings when the address cannot be bound, and what load() raises.
        """
        self.listen()
        self.load()
        self.serve()
        if self._settings.port_file is not None:
            write_port(self._settings.port_file, self.port)
        refused = len(self.repository.refusals)
        log.info("ready" + (f", {refused} refused: see above" if refused else ""))

    def listen(self) -> None:
        """Answer calls; not ready before serve(). Raises InvalidSettings when the address cannot be bound."""
        self._transport = self._make_transport()
        self._transport.start()
        self._door.start()
        self._rest.start()
        log.info("listening on %s:%d", self._settings.listen.rpartition(":")[0], self.port)
        if self._metrics is not None:
            self._metrics.start()
            log.info("metrics at port %d: /metrics, /healthz, /readyz", self._metrics.port)

    def load(self) -> None:
        """Load and warm the models.

        Raises ModelBroken when not one model can be served, EngineUnavailable when the wanted provider does not work.
        """
        mode = self._settings.repository_mode
        wanted = self._settings.load_model
        self.repository.load(wanted if mode == "explicit" and "*" not in wanted else None)
        if mode != "explicit" and not self.repository.names():
            if mode == "none":
                raise ModelBroken(self._nothing_to_serve())
            log.warning("%s; not ready until there is one", self._nothing_to_serve())

    def serve(self) -> None:
        """Become ready."""
        self._serving.set()
        self._changed()
        if self._settings.repository_mode == "poll":
            self._poller.start()

    def _changed(self) -> None:
        """Tell the health service what is served now. Before everything is loaded, it is not serving."""
        if not self._serving.is_set():
            return
        with self._telling:
            now, working = set(self.repository.names()), set(self.repository.working())
            statuses = {"": self._ready(), open_inference.SERVICE: self._ready()}
            for service, task in _TASKS.items():
                statuses[service] = not working.isdisjoint(self.repository.with_task(task))
            known = now | self._told | self.repository.known()
            statuses |= {f"models/{name}": name in working for name in known}
            self._told = now
            self._health.set(statuses)

    def _ready(self) -> bool:
        """Whether there is something to call: a model that works, or one that callers may have loaded.

        Who follows a folder that is still empty lives, and is not ready. Nor is who has only models that fail.
        """
        waits_for_callers = self._settings.repository_mode == "explicit" and not self.repository.names()
        return self._serving.is_set() and (waits_for_callers or bool(self.repository.working()))

    def _nothing_to_serve(self) -> str:
        folder = self.repository.folder
        if refusals := self.repository.refusals:
            return "no model can be served: " + "; ".join(f"{r.path}: {r.reason}" for r in refusals)
        return f"there is no model in {folder.absolute()}; export one: convserve-export --out {folder}"

    def withdraw(self) -> None:
        """Not ready from now on, but still serving, for as long as callers are given to hear of it."""
        self._serving.clear()
        self._poller.stop()
        self._health.withdraw()
        if delay := self._settings.pre_stop_delay:
            log.info("not ready; new calls are taken for %g s more", delay)
            time.sleep(delay)

    def stop(self, grace: float | None = None) -> None:
        """Not ready, no new calls, accepted ones finish within the grace (seconds; the setting by default).

        Who has callers calls withdraw() before.
        """
        self._serving.clear()
        self._poller.stop()
        self._rest.stop()
        self._door.stop()
        self._health.close()
        self._reflection.close()
        self._open_inference.close()
        if self._transport is not None:
            self._transport.stop(self._settings.grace if grace is None else grace)
        if self._metrics is not None:
            self._metrics.stop()
        self._observation.close()
        log.info("stopped")

    def _metrics_endpoint(self) -> MetricsEndpoint:
        try:
            from convserve_server.metrics import Metrics, Sources
        except ImportError as error:
            raise InvalidSettings(
                f"--metrics needs prometheus-client ({error}): pip install 'convserve[metrics]', or leave it out"
            ) from error
        sources = Sources(
            models=self.repository.models,
            calls=self._observation.counts,
            ready=self._ready,
            refusals=lambda: len(self.repository.refusals),
            streams=lambda: self._open_inference.open_streams,
            load=self._load,
            workers=self._settings.workers,
        )
        profile = ProfilePage(self._door.permit_profile) if self._settings.profiling else None
        return MetricsEndpoint(str(self._settings.metrics), Metrics(sources).text, self._ready, profile)


def make_repository(settings: Settings) -> Repository:
    """The repository that the settings describe; nothing is loaded yet."""
    if settings.allow_unverified:
        log.warning("--allow-unverified: models without a manifest are served, whatever they are and wherever from")
    defaults = ModelSettings(engine=_engine(settings), limits=_limits(settings))
    read = partial(read_artifact, allow_unverified=settings.allow_unverified, public_key=settings.require_public_key)
    return Repository(
        settings.repository,
        Loader(read, settings.provider),
        partial(read_model_settings, defaults=defaults),
        allow_uploads=settings.allow_unverified,
    )


def _cpus(settings: Settings) -> int:
    return max(1, usable_cpus() // settings.workers)


def _instances(settings: Settings) -> int:
    return settings.instances or min(_cpus(settings), MAX_INSTANCES)


def _engine(settings: Settings) -> EngineSettings:
    cpus = _cpus(settings)
    cpu = cpu_kind()
    instances = _instances(settings)
    threads = settings.threads or max(1, cpus // instances)
    log.info("%d usable CPUs: %d instances a model, %d threads a run", cpus, instances, threads)
    cuda = CudaSettings(
        instances=settings.instances or CudaSettings.instances,
        conv_search=settings.cuda_conv_search,
        tf32=settings.cuda_tf32,
        graphs=settings.cuda_graphs,
    )
    return EngineSettings(
        provider=settings.provider,
        instances=instances,
        threads=threads,
        cuda=cuda,
        precision=settings.precision,
        cpu=cpu,
        careful_int8=cpu == X86,
    )


def _connections(settings: Settings) -> ConnectionLimits:
    return ConnectionLimits(
        max_connections=settings.max_connections,
        max_streams=settings.max_streams,
        max_header_bytes=settings.max_header_bytes,
        min_ping_interval=settings.min_ping_interval,
        keepalive=settings.keepalive,
        max_idle=settings.max_connection_idle,
        max_age=settings.max_connection_age,
        age_grace=settings.grace,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        max_batch_size=settings.max_batch_size,
        max_queue_size=settings.max_queue_size,
        max_request_rows=settings.max_request_rows,
        max_queue_delay=settings.max_queue_delay,
        max_queue_time=settings.max_queue_time,
    )
