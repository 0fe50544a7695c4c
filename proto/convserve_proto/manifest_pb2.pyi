from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Task(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_UNSPECIFIED: _ClassVar[Task]
    TASK_IMAGE_CLASSIFICATION: _ClassVar[Task]
    TASK_CONVOLUTION: _ClassVar[Task]
TASK_UNSPECIFIED: Task
TASK_IMAGE_CLASSIFICATION: Task
TASK_CONVOLUTION: Task

class Manifest(_message.Message):
    __slots__ = ("format", "name", "version", "task", "inputs", "outputs", "batched", "preprocessing", "labels", "parameters", "files", "verification", "tools", "fingerprint", "variants")
    class ToolsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    BATCHED_FIELD_NUMBER: _ClassVar[int]
    PREPROCESSING_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    VARIANTS_FIELD_NUMBER: _ClassVar[int]
    format: int
    name: str
    version: int
    task: Task
    inputs: _containers.RepeatedCompositeFieldContainer[TensorSignature]
    outputs: _containers.RepeatedCompositeFieldContainer[TensorSignature]
    batched: bool
    preprocessing: ImagePreprocessing
    labels: _containers.RepeatedScalarFieldContainer[str]
    parameters: ParameterCounts
    files: _containers.RepeatedCompositeFieldContainer[ArtifactFile]
    verification: Verification
    tools: _containers.ScalarMap[str, str]
    fingerprint: str
    variants: _containers.RepeatedCompositeFieldContainer[Variant]
    def __init__(self, format: _Optional[int] = ..., name: _Optional[str] = ..., version: _Optional[int] = ..., task: _Optional[_Union[Task, str]] = ..., inputs: _Optional[_Iterable[_Union[TensorSignature, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[TensorSignature, _Mapping]]] = ..., batched: bool = ..., preprocessing: _Optional[_Union[ImagePreprocessing, _Mapping]] = ..., labels: _Optional[_Iterable[str]] = ..., parameters: _Optional[_Union[ParameterCounts, _Mapping]] = ..., files: _Optional[_Iterable[_Union[ArtifactFile, _Mapping]]] = ..., verification: _Optional[_Union[Verification, _Mapping]] = ..., tools: _Optional[_Mapping[str, str]] = ..., fingerprint: _Optional[str] = ..., variants: _Optional[_Iterable[_Union[Variant, _Mapping]]] = ...) -> None: ...

class Variant(_message.Message):
    __slots__ = ("precision", "file", "inputs", "pixels", "hardware", "gates")
    class GatesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    PIXELS_FIELD_NUMBER: _ClassVar[int]
    HARDWARE_FIELD_NUMBER: _ClassVar[int]
    GATES_FIELD_NUMBER: _ClassVar[int]
    precision: str
    file: str
    inputs: _containers.RepeatedCompositeFieldContainer[TensorSignature]
    pixels: bool
    hardware: _containers.RepeatedScalarFieldContainer[str]
    gates: _containers.ScalarMap[str, float]
    def __init__(self, precision: _Optional[str] = ..., file: _Optional[str] = ..., inputs: _Optional[_Iterable[_Union[TensorSignature, _Mapping]]] = ..., pixels: bool = ..., hardware: _Optional[_Iterable[str]] = ..., gates: _Optional[_Mapping[str, float]] = ...) -> None: ...

class TensorSignature(_message.Message):
    __slots__ = ("name", "datatype", "shape")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DATATYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    datatype: str
    shape: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., datatype: _Optional[str] = ..., shape: _Optional[_Iterable[int]] = ...) -> None: ...

class ImagePreprocessing(_message.Message):
    __slots__ = ("height", "width", "color_order", "layout", "scale", "mean", "std")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    COLOR_ORDER_FIELD_NUMBER: _ClassVar[int]
    LAYOUT_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    STD_FIELD_NUMBER: _ClassVar[int]
    height: int
    width: int
    color_order: str
    layout: str
    scale: float
    mean: _containers.RepeatedScalarFieldContainer[float]
    std: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, height: _Optional[int] = ..., width: _Optional[int] = ..., color_order: _Optional[str] = ..., layout: _Optional[str] = ..., scale: _Optional[float] = ..., mean: _Optional[_Iterable[float]] = ..., std: _Optional[_Iterable[float]] = ...) -> None: ...

class ParameterCounts(_message.Message):
    __slots__ = ("total", "trainable", "layers", "names", "folded")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    FOLDED_FIELD_NUMBER: _ClassVar[int]
    total: int
    trainable: int
    layers: _containers.RepeatedCompositeFieldContainer[LayerParameters]
    names: _containers.RepeatedScalarFieldContainer[str]
    folded: int
    def __init__(self, total: _Optional[int] = ..., trainable: _Optional[int] = ..., layers: _Optional[_Iterable[_Union[LayerParameters, _Mapping]]] = ..., names: _Optional[_Iterable[str]] = ..., folded: _Optional[int] = ...) -> None: ...

class LayerParameters(_message.Message):
    __slots__ = ("name", "kind", "count")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    count: int
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class ArtifactFile(_message.Message):
    __slots__ = ("name", "sha256", "size")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    name: str
    sha256: str
    size: int
    def __init__(self, name: _Optional[str] = ..., sha256: _Optional[str] = ..., size: _Optional[int] = ...) -> None: ...

class Verification(_message.Message):
    __slots__ = ("atol", "rtol", "comparisons", "checks")
    ATOL_FIELD_NUMBER: _ClassVar[int]
    RTOL_FIELD_NUMBER: _ClassVar[int]
    COMPARISONS_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    atol: float
    rtol: float
    comparisons: _containers.RepeatedCompositeFieldContainer[Comparison]
    checks: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, atol: _Optional[float] = ..., rtol: _Optional[float] = ..., comparisons: _Optional[_Iterable[_Union[Comparison, _Mapping]]] = ..., checks: _Optional[_Iterable[str]] = ...) -> None: ...

class Comparison(_message.Message):
    __slots__ = ("form", "inputs", "batch_size", "max_absolute_difference", "max_tolerance_used")
    FORM_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    MAX_ABSOLUTE_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    MAX_TOLERANCE_USED_FIELD_NUMBER: _ClassVar[int]
    form: str
    inputs: str
    batch_size: int
    max_absolute_difference: float
    max_tolerance_used: float
    def __init__(self, form: _Optional[str] = ..., inputs: _Optional[str] = ..., batch_size: _Optional[int] = ..., max_absolute_difference: _Optional[float] = ..., max_tolerance_used: _Optional[float] = ...) -> None: ...
