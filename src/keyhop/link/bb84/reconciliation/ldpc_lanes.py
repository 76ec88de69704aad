"""Sixty-four bytes as one value in a compiled kernel, with arithmetic that saturates; numba itself has no vectors.

LLVM splits them into whatever registers the processor has. What kernels call stands at the end, with its types. Bytes
are signed where the name of an operation does not say otherwise.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model
from numpy.typing import NDArray

type Value = Any
"""Anything of llvmlite or numba, which have no types for mypy."""

LANES = 64
_BYTE = ir.IntType(8)
_VECTOR = ir.VectorType(_BYTE, LANES)


class Lanes(types.Type):
    """numba's name for a vector of 64 bytes."""

    def __init__(self) -> None:
        base: Value = super()
        base.__init__(name="Lanes")


_lanes = Lanes()


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    """Held in vector registers."""

    def __init__(self, manager: Value, numba_type: Value) -> None:
        base: Value = super()
        base.__init__(manager, numba_type, _VECTOR)


def _constant(value: int) -> Value:
    return ir.Constant(_VECTOR, [value] * LANES)


def _function(builder: Value, name: str) -> Value:
    """LLVM's operation of that name on two vectors."""
    declare: Value = cgutils.get_or_insert_function
    return declare(builder.module, ir.FunctionType(_VECTOR, [_VECTOR, _VECTOR]), f"llvm.{name}.v{LANES}i8")


def _place(context: Value, builder: Value, array_type: Value, array: Value, index: Value) -> Value:
    start = builder.gep(context.make_array(array_type)(context, builder, array).data, [index])
    return builder.bitcast(start, _VECTOR.as_pointer())


def _load(typing: Value, values: Value, index: Value) -> Value:
    def generate(context: Value, builder: Value, signature: Value, arguments: Value) -> Value:
        return builder.load(_place(context, builder, signature.args[0], *arguments), align=1)

    return _lanes(values, types.intp), generate


def _store(typing: Value, values: Value, index: Value, lanes: Value) -> Value:
    def generate(context: Value, builder: Value, signature: Value, arguments: Value) -> Value:
        array, place, stored = arguments
        builder.store(stored, _place(context, builder, signature.args[0], array, place), align=1)
        return context.get_dummy_value()

    return types.none(values, types.intp, lanes), generate


def _repeat(typing: Value, value: Value) -> Value:
    def generate(context: Value, builder: Value, signature: Value, arguments: Value) -> Value:
        undefined = ir.Constant(_VECTOR, ir.Undefined)
        index = ir.IntType(32)
        first = builder.insert_element(undefined, arguments[0], ir.Constant(index, 0))
        return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(index, LANES), [0] * LANES))

    return _lanes(value), generate


def _by_llvm(name: str) -> Value:
    """Operation on two vectors that LLVM has under this name."""

    def operation(typing: Value, a: Value, b: Value) -> Value:
        def generate(context: Value, builder: Value, signature: Value, arguments: Value) -> Value:
            return builder.call(_function(builder, name), arguments)

        return _lanes(a, b), generate

    return intrinsic(operation)


def _absolute(typing: Value, a: Value) -> Value:
    def generate(context: Value, builder: Value, signature: Value, arguments: Value) -> Value:
        # Not llvm.abs: for -128 we want 127.
        negated = builder.call(_function(builder, "ssub.sat"), [_constant(0), arguments[0]])
        return builder.call(_function(builder, "smax"), [arguments[0], negated])

    return _lanes(a), generate


def _subtract(typing: Value, a: Value, b: Value) -> Value:
    def generate(context: Value, builder: Value, signature: Value, arguments: Value) -> Value:
        return builder.sub(*arguments)

    return _lanes(a, b), generate


def _exclusive_or(typing: Value, a: Value, b: Value) -> Value:
    def generate(context: Value, builder: Value, signature: Value, arguments: Value) -> Value:
        return builder.xor(*arguments)

    return _lanes(a, b), generate


def _by_power_of_two(exponent: int) -> Value:
    """Operation that multiplies unsigned bytes by 2**exponent, rounding down; what does not fit is lost."""

    def operation(typing: Value, a: Value) -> Value:
        def generate(context: Value, builder: Value, signature: Value, arguments: Value) -> Value:
            shift = builder.shl if exponent > 0 else builder.lshr
            return shift(arguments[0], _constant(abs(exponent)))

        return _lanes(a), generate

    return intrinsic(operation)


def _where_equal(typing: Value, a: Value, b: Value, then: Value, otherwise: Value) -> Value:
    def generate(context: Value, builder: Value, signature: Value, arguments: Value) -> Value:
        return builder.select(builder.icmp_unsigned("==", arguments[0], arguments[1]), arguments[2], arguments[3])

    return _lanes(a, b, then, otherwise), generate


def _with_sign(typing: Value, a: Value, sign: Value) -> Value:
    def generate(context: Value, builder: Value, signature: Value, arguments: Value) -> Value:
        negative = builder.icmp_signed("<", arguments[1], _constant(0))
        return builder.select(negative, builder.sub(_constant(0), arguments[0]), arguments[0])

    return _lanes(a, sign), generate


def _negatives(typing: Value, a: Value) -> Value:
    def generate(context: Value, builder: Value, signature: Value, arguments: Value) -> Value:
        return builder.bitcast(builder.icmp_signed("<", arguments[0], _constant(0)), ir.IntType(LANES))

    return types.uint64(a), generate


# What kernels call.

load = cast("Callable[[NDArray[np.int8], int], Lanes]", intrinsic(_load))
"""64 bytes of an array from an index on; neither this nor `store` looks at the array's bounds."""

store = cast("Callable[[NDArray[np.int8], int, Lanes], None]", intrinsic(_store))
"""64 bytes to an array from an index on."""

repeat = cast("Callable[[np.int8 | np.uint8], Lanes]", intrinsic(_repeat))
"""One byte, 64 times."""

saturating_add = cast("Callable[[Lanes, Lanes], Lanes]", _by_llvm("sadd.sat"))
saturating_subtract = cast("Callable[[Lanes, Lanes], Lanes]", _by_llvm("ssub.sat"))
unsigned_saturating_add = cast("Callable[[Lanes, Lanes], Lanes]", _by_llvm("uadd.sat"))
unsigned_saturating_subtract = cast("Callable[[Lanes, Lanes], Lanes]", _by_llvm("usub.sat"))
"""Never below zero."""
unsigned_minimum = cast("Callable[[Lanes, Lanes], Lanes]", _by_llvm("umin"))
unsigned_maximum = cast("Callable[[Lanes, Lanes], Lanes]", _by_llvm("umax"))
subtract = cast("Callable[[Lanes, Lanes], Lanes]", intrinsic(_subtract))
exclusive_or = cast("Callable[[Lanes, Lanes], Lanes]", intrinsic(_exclusive_or))

absolute = cast("Callable[[Lanes], Lanes]", intrinsic(_absolute))
"""0 to 127."""

times_four = cast("Callable[[Lanes], Lanes]", _by_power_of_two(2))
quarter = cast("Callable[[Lanes], Lanes]", _by_power_of_two(-2))
sixteenth = cast("Callable[[Lanes], Lanes]", _by_power_of_two(-4))
"""Unsigned, rounded down."""

where_equal = cast("Callable[[Lanes, Lanes, Lanes, Lanes], Lanes]", intrinsic(_where_equal))
"""Of the third where the first two agree, otherwise of the fourth."""

with_sign = cast("Callable[[Lanes, Lanes], Lanes]", intrinsic(_with_sign))
"""The first, negated where the second is negative."""

negatives = cast("Callable[[Lanes], int]", intrinsic(_negatives))
"""Bit i is set if lane i is negative."""
