"""Eight 64-bit words as one value in a compiled kernel; numba itself has no vectors.

What kernels call stands at the end, with its types. Sums and products are those of the field in `carryless_products`.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic, models, register_model
from numpy.typing import NDArray

from keyhop.link.bb84.amplification.carryless_products import INDEX, LANES, VECTOR, product_for, shuffle, undefined

type Value = Any
"""Anything of llvmlite or numba, which have no types for mypy."""


class EightWords(types.Type):
    """numba's name for a vector of eight words."""

    def __init__(self) -> None:
        base: Value = super()
        base.__init__(name="EightWords")


eight_words = EightWords()


@register_model(EightWords)
class EightWordsModel(models.PrimitiveModel):
    """Held in vector registers."""

    def __init__(self, manager: Value, numba_type: Value) -> None:
        base: Value = super()
        base.__init__(manager, numba_type, VECTOR)


def _item_bytes(signature: Value) -> int:
    return int(signature.args[0].dtype.bitwidth) // 8


def _load(typing: Value, words: Value, index: Value) -> Value:
    def generate(context: Value, builder: Value, signature: Value, arguments: Value) -> Value:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        start = builder.gep(array.data, [arguments[1]])
        return builder.load(builder.bitcast(start, VECTOR.as_pointer()), align=_item_bytes(signature))

    return eight_words(words, types.intp), generate


def _load_half_words(typing: Value, half_words: Value, index: Value) -> Value:
    def generate(context: Value, builder: Value, signature: Value, arguments: Value) -> Value:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        start = builder.gep(array.data, [arguments[1]])
        narrow = builder.load(builder.bitcast(start, ir.VectorType(ir.IntType(32), LANES).as_pointer()), align=4)
        return builder.zext(narrow, VECTOR)

    return eight_words(half_words, types.intp), generate


def _store(typing: Value, words: Value, index: Value, value: Value) -> Value:
    def generate(context: Value, builder: Value, signature: Value, arguments: Value) -> Value:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        start = builder.gep(array.data, [arguments[1]])
        builder.store(arguments[2], builder.bitcast(start, VECTOR.as_pointer()), align=_item_bytes(signature))
        return context.get_dummy_value()

    return types.none(words, types.intp, value), generate


def _repeat(typing: Value, word: Value) -> Value:
    def generate(context: Value, builder: Value, signature: Value, arguments: Value) -> Value:
        first = builder.insert_element(undefined(LANES), arguments[0], ir.Constant(INDEX, 0))
        return shuffle(builder, first, undefined(LANES), [0] * LANES)

    return eight_words(types.uint64), generate


def _add(typing: Value, a: Value, b: Value) -> Value:
    def generate(context: Value, builder: Value, signature: Value, arguments: Value) -> Value:
        return builder.xor(*arguments)

    return eight_words(a, b), generate


def _multiply(typing: Value, a: Value, b: Value) -> Value:
    def generate(context: Value, builder: Value, signature: Value, arguments: Value) -> Value:
        return product_for(context)(builder, *arguments)

    return eight_words(a, b), generate


def _take(typing: Value, first: Value, second: Value, lanes: Value) -> Value:
    if not isinstance(lanes, types.IntegerLiteral):
        return None
    chosen = [lanes.literal_value >> 4 * lane & 15 for lane in range(LANES)]

    def generate(context: Value, builder: Value, signature: Value, arguments: Value) -> Value:
        return shuffle(builder, arguments[0], arguments[1], chosen)

    return eight_words(first, second, lanes), generate


# What kernels call.

load = cast("Callable[[NDArray[np.uint32] | NDArray[np.uint64], int], EightWords]", intrinsic(_load))
"""Eight words of an array from an index on, or sixteen half words; none of these looks at the array's bounds."""

load_half_words = cast("Callable[[NDArray[np.uint32], int], EightWords]", intrinsic(_load_half_words))
"""Eight words, made from eight 32-bit ones of an array from an index on."""

store = cast("Callable[[NDArray[np.uint32] | NDArray[np.uint64], int, EightWords], None]", intrinsic(_store))
"""Eight words to an array from an index on, or sixteen half words."""

repeat = cast("Callable[[np.uint64], EightWords]", intrinsic(_repeat))
"""One word, eight times."""

add = cast("Callable[[EightWords, EightWords], EightWords]", intrinsic(_add))
"""Sums in the field; they are differences too."""

multiply = cast("Callable[[EightWords, EightWords], EightWords]", intrinsic(_multiply))
"""Products in the field."""

take = cast("Callable[[EightWords, EightWords, int], EightWords]", intrinsic(prefer_literal=True)(_take))
"""Eight of the sixteen words of two vectors: a literal of eight digits to the base 16, that of the first word last."""
