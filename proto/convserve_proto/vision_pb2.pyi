from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class KernelPreset(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KERNEL_PRESET_UNSPECIFIED: _ClassVar[KernelPreset]
    KERNEL_PRESET_SOBEL_X: _ClassVar[KernelPreset]
    KERNEL_PRESET_SOBEL_Y: _ClassVar[KernelPreset]
    KERNEL_PRESET_SCHARR_X: _ClassVar[KernelPreset]
    KERNEL_PRESET_SCHARR_Y: _ClassVar[KernelPreset]
    KERNEL_PRESET_PREWITT_X: _ClassVar[KernelPreset]
    KERNEL_PRESET_PREWITT_Y: _ClassVar[KernelPreset]
    KERNEL_PRESET_LAPLACIAN: _ClassVar[KernelPreset]
    KERNEL_PRESET_SHARPEN: _ClassVar[KernelPreset]
    KERNEL_PRESET_BOX_BLUR: _ClassVar[KernelPreset]
    KERNEL_PRESET_GAUSSIAN_BLUR: _ClassVar[KernelPreset]
    KERNEL_PRESET_IDENTITY: _ClassVar[KernelPreset]

class Operation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPERATION_UNSPECIFIED: _ClassVar[Operation]
    OPERATION_CROSS_CORRELATION: _ClassVar[Operation]
    OPERATION_CONVOLUTION: _ClassVar[Operation]

class Padding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PADDING_UNSPECIFIED: _ClassVar[Padding]
    PADDING_VALID: _ClassVar[Padding]
    PADDING_SAME: _ClassVar[Padding]

class ColorMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COLOR_MODE_UNSPECIFIED: _ClassVar[ColorMode]
    COLOR_MODE_LUMINANCE: _ClassVar[ColorMode]
    COLOR_MODE_PER_CHANNEL: _ClassVar[ColorMode]
KERNEL_PRESET_UNSPECIFIED: KernelPreset
KERNEL_PRESET_SOBEL_X: KernelPreset
KERNEL_PRESET_SOBEL_Y: KernelPreset
KERNEL_PRESET_SCHARR_X: KernelPreset
KERNEL_PRESET_SCHARR_Y: KernelPreset
KERNEL_PRESET_PREWITT_X: KernelPreset
KERNEL_PRESET_PREWITT_Y: KernelPreset
KERNEL_PRESET_LAPLACIAN: KernelPreset
KERNEL_PRESET_SHARPEN: KernelPreset
KERNEL_PRESET_BOX_BLUR: KernelPreset
KERNEL_PRESET_GAUSSIAN_BLUR: KernelPreset
KERNEL_PRESET_IDENTITY: KernelPreset
OPERATION_UNSPECIFIED: Operation
OPERATION_CROSS_CORRELATION: Operation
OPERATION_CONVOLUTION: Operation
PADDING_UNSPECIFIED: Padding
PADDING_VALID: Padding
PADDING_SAME: Padding
COLOR_MODE_UNSPECIFIED: ColorMode
COLOR_MODE_LUMINANCE: ColorMode
COLOR_MODE_PER_CHANNEL: ColorMode

class Image(_message.Message):
    __slots__ = ("encoded", "pixels")
    ENCODED_FIELD_NUMBER: _ClassVar[int]
    PIXELS_FIELD_NUMBER: _ClassVar[int]
    encoded: bytes
    pixels: Pixels
    def __init__(self, encoded: _Optional[bytes] = ..., pixels: _Optional[_Union[Pixels, _Mapping]] = ...) -> None: ...

class Pixels(_message.Message):
    __slots__ = ("height", "width", "channels", "data")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    height: int
    width: int
    channels: int
    data: bytes
    def __init__(self, height: _Optional[int] = ..., width: _Optional[int] = ..., channels: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class ClassifyRequest(_message.Message):
    __slots__ = ("model_name", "model_version", "images", "top_k")
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    model_name: str
    model_version: str
    images: _containers.RepeatedCompositeFieldContainer[Image]
    top_k: int
    def __init__(self, model_name: _Optional[str] = ..., model_version: _Optional[str] = ..., images: _Optional[_Iterable[_Union[Image, _Mapping]]] = ..., top_k: _Optional[int] = ...) -> None: ...

class ClassifyResponse(_message.Message):
    __slots__ = ("model_name", "model_version", "results", "queue_seconds", "inference_seconds", "precision")
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    INFERENCE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    model_name: str
    model_version: str
    results: _containers.RepeatedCompositeFieldContainer[ImageResult]
    queue_seconds: float
    inference_seconds: float
    precision: str
    def __init__(self, model_name: _Optional[str] = ..., model_version: _Optional[str] = ..., results: _Optional[_Iterable[_Union[ImageResult, _Mapping]]] = ..., queue_seconds: _Optional[float] = ..., inference_seconds: _Optional[float] = ..., precision: _Optional[str] = ...) -> None: ...

class ImageResult(_message.Message):
    __slots__ = ("classifications", "error")
    CLASSIFICATIONS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    classifications: _containers.RepeatedCompositeFieldContainer[Classification]
    error: ImageError
    def __init__(self, classifications: _Optional[_Iterable[_Union[Classification, _Mapping]]] = ..., error: _Optional[_Union[ImageError, _Mapping]] = ...) -> None: ...

class ImageError(_message.Message):
    __slots__ = ("code", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class Classification(_message.Message):
    __slots__ = ("label", "index", "probability")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    label: str
    index: int
    probability: float
    def __init__(self, label: _Optional[str] = ..., index: _Optional[int] = ..., probability: _Optional[float] = ...) -> None: ...

class Matrix(_message.Message):
    __slots__ = ("rows", "columns", "values")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    rows: int
    columns: int
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, rows: _Optional[int] = ..., columns: _Optional[int] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...

class ConvolveRequest(_message.Message):
    __slots__ = ("image", "matrix", "preset", "custom_kernel", "operation", "padding", "stride", "color_mode", "gradient", "png", "omit_values")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    MATRIX_FIELD_NUMBER: _ClassVar[int]
    PRESET_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_KERNEL_FIELD_NUMBER: _ClassVar[int]
    OPERATION_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    STRIDE_FIELD_NUMBER: _ClassVar[int]
    COLOR_MODE_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_FIELD_NUMBER: _ClassVar[int]
    PNG_FIELD_NUMBER: _ClassVar[int]
    OMIT_VALUES_FIELD_NUMBER: _ClassVar[int]
    image: Image
    matrix: Matrix
    preset: KernelPreset
    custom_kernel: Matrix
    operation: Operation
    padding: Padding
    stride: int
    color_mode: ColorMode
    gradient: bool
    png: bool
    omit_values: bool
    def __init__(self, image: _Optional[_Union[Image, _Mapping]] = ..., matrix: _Optional[_Union[Matrix, _Mapping]] = ..., preset: _Optional[_Union[KernelPreset, str]] = ..., custom_kernel: _Optional[_Union[Matrix, _Mapping]] = ..., operation: _Optional[_Union[Operation, str]] = ..., padding: _Optional[_Union[Padding, str]] = ..., stride: _Optional[int] = ..., color_mode: _Optional[_Union[ColorMode, str]] = ..., gradient: bool = ..., png: bool = ..., omit_values: bool = ...) -> None: ...

class ConvolveResponse(_message.Message):
    __slots__ = ("responses", "gradient_magnitudes", "gradient_directions", "png", "kernel", "rows", "columns", "model_name", "model_version", "queue_seconds", "inference_seconds")
    RESPONSES_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_MAGNITUDES_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_DIRECTIONS_FIELD_NUMBER: _ClassVar[int]
    PNG_FIELD_NUMBER: _ClassVar[int]
    KERNEL_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    MODEL_NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    QUEUE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    INFERENCE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    responses: _containers.RepeatedCompositeFieldContainer[Matrix]
    gradient_magnitudes: _containers.RepeatedCompositeFieldContainer[Matrix]
    gradient_directions: _containers.RepeatedCompositeFieldContainer[Matrix]
    png: bytes
    kernel: Matrix
    rows: int
    columns: int
    model_name: str
    model_version: str
    queue_seconds: float
    inference_seconds: float
    def __init__(self, responses: _Optional[_Iterable[_Union[Matrix, _Mapping]]] = ..., gradient_magnitudes: _Optional[_Iterable[_Union[Matrix, _Mapping]]] = ..., gradient_directions: _Optional[_Iterable[_Union[Matrix, _Mapping]]] = ..., png: _Optional[bytes] = ..., kernel: _Optional[_Union[Matrix, _Mapping]] = ..., rows: _Optional[int] = ..., columns: _Optional[int] = ..., model_name: _Optional[str] = ..., model_version: _Optional[str] = ..., queue_seconds: _Optional[float] = ..., inference_seconds: _Optional[float] = ...) -> None: ...
