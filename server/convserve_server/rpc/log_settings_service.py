"""LogSettings: reads and changes what the server logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convserve_proto import open_inference as oip
from google.protobuf.message import Message

from convserve_server.calls import Method
from convserve_server.errors import InvalidRequest
from convserve_server.log_settings import LogSettings
from convserve_server.rpc.simple import simple_methods
from convserve_server.rpc.status import parse

if TYPE_CHECKING:
    from convserve_proto.open_inference_pb2 import LogSettingsRequest

_KINDS = {
    "log_info": "bool_param",
    "log_warning": "bool_param",
    "log_error": "bool_param",
    "log_verbose_level": "uint32_param",
    "log_format": "string_param",
    "log_file": "string_param",
}
_ATTRIBUTES = {"log_info": "info", "log_warning": "warning", "log_error": "error", "log_verbose_level": "verbose"}
_FIXED = {"log_format": "default", "log_file": ""}
"""Settings that clients may read and cannot change: the log goes to standard error, in one format."""


class LogSettingsService:
    """LogSettings."""

    def __init__(self, settings: LogSettings) -> None:
        self._settings = settings

    def methods(self) -> list[Method]:
        """Every method of this part of the service."""
        return simple_methods({"LogSettings": self._log_settings})

    def _log_settings(self, payload: bytes) -> Message:
        request = parse(oip.LogSettingsRequest, payload)
        # All are checked before the first is changed.
        values = {name: _value(name, setting) for name, setting in request.settings.items()}
        for name, value in values.items():
            if name in _ATTRIBUTES:
                setattr(self._settings, _ATTRIBUTES[name], value)
        if values:
            self._settings.apply()
        response = oip.LogSettingsResponse()
        for name, attribute in _ATTRIBUTES.items():
            setattr(response.settings[name], _KINDS[name], getattr(self._settings, attribute))
        for name, text in _FIXED.items():
            response.settings[name].string_param = text
        return response


def _value(name: str, setting: LogSettingsRequest.SettingValue) -> bool | int | str:
    kind = _KINDS.get(name)
    if kind is None:
        raise InvalidRequest(f"unknown log setting '{name}'; known are {', '.join(_KINDS)}")
    chosen = setting.WhichOneof("parameter_choice")
    if chosen != kind:
        raise InvalidRequest(f"log setting '{name}' takes a {kind}, but {chosen or 'nothing'} was sent")
    value: bool | int | str = getattr(setting, kind)
    if name in _FIXED and value != _FIXED[name]:
        raise InvalidRequest(f"log setting '{name}' cannot be changed by a call; it is '{_FIXED[name]}'")
    return value
