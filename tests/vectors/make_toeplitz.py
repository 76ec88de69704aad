"""Makes toeplitz.json from the words of `keyhop.link.bb84.amplification`, row by row of the matrix."""

import hashlib
import json
from pathlib import Path

SIZES = [(1, 1), (2, 1), (8, 8), (13, 5), (33, 32), (64, 17), (100, 100), (255, 129), (1000, 270), (2049, 1023)]


def random_bits(label: str, count: int) -> str:
    """Bits that anybody can make again: SHA-256 of label and counter, the lowest bit of each byte first."""
    stream = b"".join(hashlib.sha256(f"{label} {block}".encode()).digest() for block in range(count // 256 + 1))
    return "".join(format(byte, "08b")[::-1] for byte in stream)[:count]


def packed(bits: str) -> str:
    """Hexadecimal of the bytes that have bit i in byte i // 8 at position i % 8."""
    padded = bits + "0" * (-len(bits) % 8)
    return bytes(int(padded[at : at + 8][::-1], 2) for at in range(0, len(padded), 8)).hex()


def product_with_matrix(seed: str, key: str, output_bits: int) -> str:
    result = ""
    for i in range(output_bits):
        row = [seed[i - j + len(key) - 1] for j in range(len(key))]
        ones = sum(1 for entry, bit in zip(row, key, strict=True) if entry == bit == "1")
        result += str(ones % 2)
    return result


def main() -> None:
    vectors = []
    for key_bits, output_bits in SIZES:
        key = random_bits(f"key {key_bits}", key_bits)
        seed = random_bits(f"seed {key_bits}", key_bits + output_bits - 1)
        result = product_with_matrix(seed, key, output_bits)
        vectors.append(
            {
                "key_bits": key_bits,
                "output_bits": output_bits,
                "key": packed(key),
                "seed": packed(seed),
                "result": packed(result),
            }
        )
    origin = "the definition T[i, j] = t[i - j + n - 1], computed by make_toeplitz.py entry by entry"
    target = Path(__file__).with_name("toeplitz.json")
    target.write_text(json.dumps({"origin": origin, "vectors": vectors}, indent=2) + "\n")


if __name__ == "__main__":
    main()
