"""TraceSetting: reads and changes which requests are traced."""

from __future__ import annotations

from convserve_proto import open_inference as oip
from google.protobuf.message import Message

from convserve_server.calls import Method
from convserve_server.engine.model import Models
from convserve_server.rpc.simple import simple_methods
from convserve_server.rpc.status import parse
from convserve_server.rpc.tracing import FIXED, Tracer


class TraceSettingService:
    """TraceSetting."""

    def __init__(self, models: Models, tracer: Tracer) -> None:
        self._models, self._tracer = models, tracer

    def methods(self) -> list[Method]:
        """Every method of this part of the service."""
        return simple_methods({"TraceSetting": self._trace_setting})

    def _trace_setting(self, payload: bytes) -> Message:
        request = parse(oip.TraceSettingRequest, payload)
        if request.model_name:
            # Raises where there is no such model.
            self._models.find(request.model_name)
        if request.settings:
            values = {name: list(setting.value) for name, setting in request.settings.items()}
            self._tracer.change(request.model_name, values)
        settings = self._tracer.settings(request.model_name)
        response = oip.TraceSettingResponse()
        for name, value in {
            "trace_level": (settings.level,),
            "trace_rate": (str(settings.rate),),
            "trace_count": (str(settings.count),),
            "trace_file": (str(self._tracer.file or ""),),
            **FIXED,
        }.items():
            response.settings[name].value.extend(value)
        return response
