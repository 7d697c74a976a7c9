"""For compiled code: many bytes of an array in one step, as the processor's wide registers allow; and numbers at an address.

Nothing here knows where an array or a memory ends: to read or write past it is the caller's mistake. Little-endian, as Arrow's files.
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
"""The bytes that a function made by `bytes_between` looks at."""

LANES: Final = 16
"""The numbers that `least_16` looks at."""

WORD_BITS: Final = 64

_WORD = ir.IntType(WORD_BITS)
_BYTES = ir.VectorType(ir.IntType(8), WINDOW)
_LANES = ir.VectorType(ir.IntType(32), LANES)
_LEAST = f"llvm.vector.reduce.umin.v{LANES}i32"


def _instruction(typed: Instruction) -> Instruction:
    """`typed` gives the signature for the types of its arguments, and what writes the instructions; it is called in compiled code alone."""
    return cast("Instruction", intrinsic(typed))


def _pointer(context: Any, builder: Any, signature: Any, arguments: Any, kind: ir.Type) -> Any:
    """Where item `arguments[1]` of the array `arguments[0]` stands; the signature is of these or begins with them."""
    data = arrayobj.make_array(signature.args[0])(context, builder, arguments[0]).data
    return builder.bitcast(builder.gep(data, [arguments[1]]), kind.as_pointer())


def bytes_between(low: int, high: int, *, fold: int = 0) -> Instruction:
    """A function of an array of bytes and a place: which of the 64 bytes from there on are in low … high, a bit each, the first lowest.

    The bits of `fold` are set in each byte before: 0x20 makes small letters of ASCII's capitals.
    """

    @_instruction
    def found(_: Any, array: Any, at: Any) -> Any:
        def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            read = builder.load(_pointer(context, builder, signature, arguments, _BYTES), align=1)
            return builder.bitcast(_between(builder, builder.or_(read, _all_bytes(fold)), low, high), _WORD)

        return types.uint64(array, types.int64), write

    return found


@_instruction
def fold_words(_: Any, array: Any, at: Any, out: Any, to: Any) -> Any:
    """Copy the 64 bytes of an array from `at` on to those of another from `to` on, letters as small ones, and 0 for what is in no word.

    Words are letters, digits and underscores of ASCII. Returns which of the bytes are not 0, a bit each, the first lowest.
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
    """The eight bytes of an array from item `at` on, as a 64-bit number."""

    def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_pointer(context, builder, signature, arguments, _WORD), align=1)

    return types.uint64(array, types.int64), write


@_instruction
def store_8(_: Any, array: Any, at: Any, value: Any) -> Any:
    """Write a 64-bit number over the eight bytes of an array from item `at` on."""

    def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _pointer(context, builder, signature, arguments, _WORD), align=1)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.uint64), write


@_instruction
def lowest_bit(_: Any, value: Any) -> Any:
    """The place of a 64-bit number's lowest set bit; 64 where none is."""

    def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), write


@_instruction
def least_16(_: Any, array: Any, at: Any) -> Any:
    """The least of the sixteen 32-bit numbers of an array from item `at` on."""

    def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        numbers = builder.load(_pointer(context, builder, signature, arguments, _LANES), align=1)
        least = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_LANES.element, [_LANES]), _LEAST)
        return builder.call(least, [numbers])

    return types.uint32(array, types.int64), write


def number_at(bits: int) -> Instruction:
    """A function of an address and a place: the number of so many bits, 64 with a sign or fewer without, that is the place's from there on.

    An address is handed over as one number; of an array it is more than half of what calling compiled code from Python costs.
    """
    kind, found = ir.IntType(bits), types.int64 if bits == WORD_BITS else getattr(types, f"uint{bits}")

    @_instruction
    def number(_: Any, address: Any, at: Any) -> Any:
        def write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            numbers = builder.inttoptr(arguments[0], kind.as_pointer())
            return builder.load(builder.gep(numbers, [arguments[1]]), align=bits // 8)

        return found(types.int64, types.int64), write

    return number
