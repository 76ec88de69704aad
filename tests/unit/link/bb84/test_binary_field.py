"""The field in plain integers, and every way of multiplying that a processor may be given, against it."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llvmlite import binding, ir  # type: ignore[import-untyped]
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from keyhop.core.errors import LinkError
from keyhop.link.bb84.amplification import additive_fft_kernels, binary_field
from keyhop.link.bb84.amplification.binary_field import cantor_basis, multiply
from keyhop.link.bb84.amplification.carryless_products import (
    LANES,
    VECTOR,
    aarch64_product,
    portable_product,
    x86_product,
)
from keyhop.link.bb84.amplification.eight_words import eight_words, load, store

elements = st.integers(0, 2**64 - 1)
FEATURES = {
    feature[1:]
    for feature in cpu_target.target_context.codegen().magic_tuple()[2].split(",")
    if feature.startswith("+")
}
EDGES = [0, 1, 2, 3, 0x1B, 2**63, 2**64 - 1, 0x5555555555555555, 0xAAAAAAAAAAAAAAAA, 2**60 + 2**61 + 2**63, 1 << 32]

type Product = Callable[[Any, Any, Any], Any]


def needs(*features: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not FEATURES.issuperset(features), reason=f"this processor lacks {' or '.join(features)}")


WAYS = [
    pytest.param(portable_product, id="portable"),
    pytest.param(x86_product(2), id="pclmul", marks=needs("pclmul")),
    pytest.param(x86_product(4), id="vpclmul-256", marks=needs("vpclmulqdq", "avx2")),
    pytest.param(x86_product(8), id="vpclmul-512", marks=needs("vpclmulqdq", "avx512f")),
    pytest.param(aarch64_product, id="pmull", marks=needs("aes", "neon")),
]


@given(elements, elements, elements)
def test_it_is_a_field(a: int, b: int, c: int) -> None:
    assert multiply(a, b) == multiply(b, a)
    assert multiply(a, multiply(b, c)) == multiply(multiply(a, b), c)
    assert multiply(a, b ^ c) == multiply(a, b) ^ multiply(a, c)
    assert multiply(a, 1) == a
    assert multiply(2**63, 2) == 0x1B


@given(elements.filter(bool))
def test_every_element_but_zero_has_an_inverse(a: int) -> None:
    inverse, square = 1, a
    for _ in range(63):
        square = multiply(square, square)
        inverse = multiply(inverse, square)
    assert multiply(a, inverse) == 1


def test_the_cantor_basis_is_a_chain() -> None:
    basis = cantor_basis(64)
    assert basis[0] == 1
    assert all(multiply(upper, upper) ^ upper == lower for lower, upper in pairwise(basis))
    assert cantor_basis(5) == basis[:5]


@pytest.mark.parametrize("length", [0, 65])
def test_no_basis_is_longer_than_the_field(length: int) -> None:
    with pytest.raises(ValueError, match="1 to 64"):
        cantor_basis(length)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_multiplying_gives_the_product(way: Product) -> None:
    def typed(typing: Any, a: Any, b: Any) -> Any:
        return eight_words(a, b), lambda context, builder, signature, arguments: way(builder, *arguments)

    product: Any = intrinsic(typed)

    @numba.njit
    def multiply_all(a: Any, b: Any, products: Any) -> None:
        for i in range(0, a.size, 8):
            store(products, i, product(load(a, i), load(b, i)))

    random = np.random.default_rng(64)
    a = np.array([x for x in EDGES for _ in EDGES] + random.integers(0, 2**64, 399, np.uint64).tolist(), np.uint64)
    b = np.array(EDGES * len(EDGES) + random.integers(0, 2**64, 399, np.uint64).tolist(), np.uint64)
    assert a.size % LANES == 0
    products = np.zeros_like(a)
    multiply_all(a, b, products)
    assert products.tolist() == [multiply(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]


def test_arm_processors_multiply_by_their_instruction() -> None:
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    module: Any = ir.Module(name="arm")
    module.triple = "aarch64-unknown-linux-gnu"
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [VECTOR.as_pointer()] * 2), "product")
    builder: Any = ir.IRBuilder(function.append_basic_block())
    a, b = (builder.load(argument) for argument in function.args)
    builder.store(aarch64_product(builder, a, b), function.args[0])
    builder.ret_void()
    machine = binding.Target.from_triple(module.triple).create_target_machine(features="+aes")
    assembly = machine.emit_assembly(binding.parse_assembly(str(module)))
    assert assembly.count("pmull") == LANES


def test_a_processor_that_multiplies_wrongly_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    additive_fft_kernels.warm_up()
    monkeypatch.setattr(binary_field, "multiply", lambda a, b: multiply(a, b) ^ (a == b + 1) ^ (a & 1))
    with pytest.raises(LinkError, match="wrong on this processor"):
        additive_fft_kernels.warm_up()
