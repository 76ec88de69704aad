"""Products in GF(2^64) as LLVM code: by what the processor has for carry-less multiplication, or by integers.

The word w is the polynomial whose coefficient of x^i is bit i; the field is GF(2)[x] / (x^64 + x^4 + x^3 + x + 1).
LLVM finds no carry-less multiplication by itself, so its names for the instructions are called.
"""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils

LANES = 8
"""Words that are worked on at once."""

REDUCTION = 0x1B
"""x^64 is x^4 + x^3 + x + 1 in the field."""

WORD = ir.IntType(64)
VECTOR = ir.VectorType(WORD, LANES)
INDEX = ir.IntType(32)

type Value = Any
"""Anything of llvmlite or numba, which have no types for mypy."""


def _declared(builder: Value, signature: Value, name: str) -> Value:
    find: Value = cgutils.get_or_insert_function
    return find(builder.module, signature, name)


def shuffle(builder: Value, first: Value, second: Value, lanes: Sequence[int]) -> Value:
    """The lanes with these numbers; those of `second` are counted on from those of `first`."""
    return builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(INDEX, len(lanes)), list(lanes)))


def _splat(bits: int, lanes: int = LANES) -> Value:
    return ir.Constant(ir.VectorType(WORD, lanes), [bits] * lanes)


def undefined(lanes: int) -> Value:
    """A vector that is yet to be filled."""
    return ir.Constant(ir.VectorType(WORD, lanes), ir.Undefined)


def x86_product(width: int) -> Callable[[Value, Value, Value], Value]:
    """Products by an instruction that multiplies in 128-bit lanes of a register of `width` words."""
    name = "llvm.x86.pclmulqdq" + ("" if width == 2 else f".{64 * width}")
    register = ir.VectorType(WORD, width)
    signature = ir.FunctionType(register, [register, register, ir.IntType(8)])

    def piece(builder: Value, a: Value, b: Value) -> Value:
        instruction = _declared(builder, signature, name)

        def clmul(left: Value, right: Value, halves: int) -> Value:
            return builder.call(instruction, [left, right, ir.Constant(ir.IntType(8), halves)])

        def reduced(product: Value) -> Value:
            once = clmul(product, _splat(REDUCTION, width), 0x01)
            twice = clmul(once, _splat(REDUCTION, width), 0x01)
            return builder.xor(builder.xor(product, once), twice)

        even, odd = reduced(clmul(a, b, 0x00)), reduced(clmul(a, b, 0x11))
        return shuffle(builder, even, odd, [lane + (width - 1) * (lane % 2) for lane in range(width)])

    def product(builder: Value, a: Value, b: Value) -> Value:
        pieces = []
        for begin in range(0, LANES, width):
            lanes = range(begin, begin + width)
            left, right = (shuffle(builder, v, undefined(LANES), lanes) for v in (a, b))
            pieces.append(piece(builder, left, right))
        while len(pieces) > 1:
            joined = 2 * pieces[0].type.count
            pieces = [shuffle(builder, x, y, range(joined)) for x, y in zip(pieces[::2], pieces[1::2], strict=True)]
        return pieces[0]

    return product


def _reduce(builder: Value, low: Value, high: Value) -> Value:
    """The rest of high x^64 + low, with shifts; for vectors and for single words."""

    def shifted(shift: Callable[[Value, Value], Value], counts: Sequence[int]) -> Value:
        total = None
        for count in counts:
            constant = ir.Constant(high.type, count if high.type == WORD else [count] * LANES)
            part = shift(high, constant)
            total = part if total is None else builder.xor(total, part)
        return total

    high = builder.xor(high, shifted(builder.lshr, (60, 61, 63)))
    return builder.xor(builder.xor(low, high), shifted(builder.shl, (1, 3, 4)))


def aarch64_product(builder: Value, a: Value, b: Value) -> Value:
    """Products by PMULL, one by one."""
    bytes_type = ir.VectorType(ir.IntType(8), 16)
    signature = ir.FunctionType(bytes_type, [WORD, WORD])
    instruction = _declared(builder, signature, "llvm.aarch64.neon.pmull64")
    low = high = undefined(LANES)
    for lane in range(LANES):
        at = ir.Constant(INDEX, lane)
        both = builder.call(instruction, [builder.extract_element(a, at), builder.extract_element(b, at)])
        halves = builder.bitcast(both, ir.VectorType(WORD, 2))
        low = builder.insert_element(low, builder.extract_element(halves, ir.Constant(INDEX, 0)), at)
        high = builder.insert_element(high, builder.extract_element(halves, ir.Constant(INDEX, 1)), at)
    return _reduce(builder, low, high)


def _low_product(builder: Value, a: Value, b: Value) -> Value:
    """The low word of the carry-less product of two words, by integer products of every fourth bit.

    The three clear bits between leave room for the carries (T. Pornin, BearSSL, "constant-time mul").
    """
    masks = [ir.Constant(WORD, 0x1111111111111111 << shift) for shift in range(4)]
    left, right = ([builder.and_(v, mask) for mask in masks] for v in (a, b))
    total = ir.Constant(WORD, 0)
    for result in range(4):
        sums = ir.Constant(WORD, 0)
        for i in range(4):
            sums = builder.xor(sums, builder.mul(left[i], right[(result - i) % 4]))
        total = builder.or_(total, builder.and_(sums, masks[result]))
    return total


def _portable_word_product(module: Value) -> Value:
    """A function for the product of two words; inlined everywhere it would take long to compile.

    The high half of a carry-less product is the low half of the mirrored words' product, mirrored.
    """
    function: Value = module.globals.get("keyhop_portable_product")
    if function is None:
        function = ir.Function(module, ir.FunctionType(WORD, [WORD, WORD]), "keyhop_portable_product")
        function.linkage = "linkonce_odr"
        function.attributes.add("noinline")
        builder: Value = ir.IRBuilder(function.append_basic_block())
        mirror = _declared(builder, ir.FunctionType(WORD, [WORD]), "llvm.bitreverse.i64")
        a, b = function.args
        mirrored = _low_product(builder, builder.call(mirror, [a]), builder.call(mirror, [b]))
        high = builder.lshr(builder.call(mirror, [mirrored]), ir.Constant(WORD, 1))
        builder.ret(_reduce(builder, _low_product(builder, a, b), high))
    return function


def portable_product(builder: Value, a: Value, b: Value) -> Value:
    """Products by integer arithmetic, one by one."""
    function = _portable_word_product(builder.module)
    result = undefined(LANES)
    for lane in range(LANES):
        at = ir.Constant(INDEX, lane)
        word = builder.call(function, [builder.extract_element(a, at), builder.extract_element(b, at)])
        result = builder.insert_element(result, word, at)
    return result


def product_for(context: Value) -> Callable[[Value, Value, Value], Value]:
    """The best way that the processor has for which numba compiles; numba's cache on disk tells processors apart."""
    triple, processor, features = context.codegen().magic_tuple()
    has = {feature[1:] for feature in features.split(",") if feature.startswith("+")}
    if triple.startswith("x86_64") and "pclmul" in has:
        wide = "vpclmulqdq" in has
        return x86_product(8 if wide and "avx512f" in has else 4 if wide and "avx2" in has else 2)
    # Of Apple's processors only the name is told.
    if triple.startswith(("aarch64", "arm64")) and ("aes" in has or processor.startswith("apple-")):
        return aarch64_product
    return portable_product
