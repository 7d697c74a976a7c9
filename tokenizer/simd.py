"""SIMD instructions for compiled code: many bytes of an array in one step, and numbers at a memory address.

Nothing here checks bounds: callers must not read or write past the end of an array or a mapping. Numbers are little-endian, as in
Arrow.
"""

from collections.abc import Callable
from typing import Any, Final, cast

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import arrayobj

Instruction = Callable[..., Any]

WINDOW: Final = 64
"""Bytes that `bytes_between` and `fold_words` read at once."""

LANES: Final = 16
"""32-bit numbers that `least_16` reads at once."""

WORD_BITS: Final = 64

_WORD = ir.IntType(WORD_BITS)
_BYTES = ir.VectorType(ir.IntType(8), WINDOW)
_LANES = ir.VectorType(ir.IntType(32), LANES)
_LEAST = f"llvm.vector.reduce.umin.v{LANES}i32"


def _instruction(typed: Instruction) -> Instruction:
    """An instruction for compiled code. `typed` maps argument types to a signature and a function that writes the instruction."""
    return cast("Instruction", intrinsic(typed))


def _pointer(context: Any, builder: Any, signature: Any, arguments: Any, kind: ir.Type) -> Any:
    """Pointer to item `arguments[1]` of the array `arguments[0]`; the signature begins with these two."""
    data = arrayobj.make_array(signature.args[0])(context, builder, arguments[0]).data
    return builder.bitcast(builder.gep(data, [arguments[1]]), kind.as_pointer())


def bytes_between(low: int, high: int, *, fold: int = 0) -> Instruction:
    """An instruction over (array, at) that gives a 64-bit mask: bit i is set where `array[at + i]` is in low … high.

    The bits of `fold` are set in each byte first: 0x20 makes ASCII letters lower case.
    """

    @_instruction
    def mask(_: Any, array: Any, at: Any) -> Any:
        def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            data = builder.load(_pointer(context, builder, signature, arguments, _BYTES), align=1)
            return builder.bitcast(_between(builder, builder.or_(data, _all_bytes(fold)), low, high), _WORD)

        return types.uint64(array, types.int64), write

    return mask


@_instruction
def fold_words(_: Any, array: Any, at: Any, out: Any, to: Any) -> Any:
    """Copy the 64 bytes at `array[at]` to `out[to]`, with letters in lower case, and 0 for bytes that belong to no word.

    Words consist of ASCII letters, digits and underscores. Returns a 64-bit mask: bit i is set where copied byte i is not 0.
    """

    def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        read = builder.load(_pointer(context, builder, signature, arguments[:2], _BYTES), align=1)
        small = builder.or_(read, _all_bytes(0x20))
        digits = builder.or_(_between(builder, read, ord("0"), ord("9")), _between(builder, read, ord("_"), ord("_")))
        folded = builder.select(digits, read, _all_bytes(0))
        folded = builder.select(_between(builder, small, ord("a"), ord("z")), small, folded)
        builder.store(
            folded, _pointer(context, builder, signature.return_type(*signature.args[2:]), arguments[2:], _BYTES), align=1
        )
        return builder.bitcast(builder.icmp_unsigned("!=", folded, _all_bytes(0)), _WORD)

    return types.uint64(array, types.int64, out, types.int64), write


def _between(builder: Any, values: Any, low: int, high: int) -> Any:
    return builder.icmp_unsigned("<=", builder.sub(values, _all_bytes(low)), _all_bytes(high - low))


def _all_bytes(value: int) -> ir.Constant:
    return ir.Constant(_BYTES, [value] * WINDOW)


@_instruction
def load_8(_: Any, array: Any, at: Any) -> Any:
    """The eight bytes at `array[at]` as a 64-bit number."""

    def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_pointer(context, builder, signature, arguments, _WORD), align=1)

    return types.uint64(array, types.int64), write


@_instruction
def store_8(_: Any, array: Any, at: Any, value: Any) -> Any:
    """Write a 64-bit number over the eight bytes at `array[at]`."""

    def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _pointer(context, builder, signature, arguments, _WORD), align=1)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.uint64), write


@_instruction
def lowest_bit(_: Any, value: Any) -> Any:
    """Position of a 64-bit number's lowest set bit; 64 for zero."""

    def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), write


@_instruction
def least_16(_: Any, array: Any, at: Any) -> Any:
    """The least of the sixteen 32-bit numbers at `array[at]`."""

    def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        numbers = builder.load(_pointer(context, builder, signature, arguments, _LANES), align=1)
        least = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_LANES.element, [_LANES]), _LEAST)
        return builder.call(least, [numbers])

    return types.uint32(array, types.int64), write


def number_at(bits: int) -> Instruction:
    """An instruction over (address, at) that reads item `at` of an array of `bits`-bit numbers.

    Numbers of 64 bits are signed, narrower ones unsigned. An address is passed as one number. Passing an array takes more than
    half the cost of a call of compiled code from Python.
    """
    kind, result = ir.IntType(bits), types.int64 if bits == WORD_BITS else getattr(types, f"uint{bits}")

    @_instruction
    def number(_: Any, address: Any, at: Any) -> Any:
        def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            numbers = builder.inttoptr(arguments[0], kind.as_pointer())
            return builder.load(builder.gep(numbers, [arguments[1]]), align=bits // 8)

        return result(types.int64, types.int64), write

    return number
