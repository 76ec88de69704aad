"""Makes key_ids.json from the words of docs/reference/key-ids.md, with the openssl program and bit strings only."""

import json
import subprocess
from pathlib import Path

CASES = [
    ("00" * 64, "alicesae", "bobsae", 8, 32),
    ("00" * 64, "bobsae", "alicesae", 8, 32),
    (bytes(range(64)).hex(), "alicesae", "bobsae", 0, 1),
    (bytes(range(64)).hex(), "a", "ünï-sae", 68719476735, 8),
    (bytes(range(64, 128)).hex(), "x" * 64, "y" * 64, 34359738368, 1024),
]


def openssl(*arguments: str, data: bytes) -> bytes:
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True).stdout


def aes(key: str, block: bytes) -> bytes:
    return openssl("enc", "-aes-256-ecb", "-nopad", "-K", key, data=block)


def bits(value: int, width: int) -> str:
    return format(value, f"0{width}b")


def key_id(id_key: str, master: str, slave: str, position: int, size_bytes: int) -> str:
    message = b"keyhop key-ID v1"
    for name in (master.encode(), slave.encode()):
        message += len(name).to_bytes(2) + name
    mac = ["dgst", "-sha256", "-binary", "-mac", "HMAC", "-macopt", f"hexkey:{id_key[:64]}"]
    pair_key = openssl(*mac, data=message).hex()
    head = bits(size_bytes - 1, 10) + bits(position, 36)
    block = "0" * 64 + "00" + head[:6] + "0" * 16 + head[6:]
    out = bits(int.from_bytes(aes(pair_key, int(block, 2).to_bytes(16))), 128)
    tag_block = out[:48] + "0000" + out[52:64] + "0" * 8 + out[72:88] + "0" * 40
    mask = bits(int.from_bytes(aes(id_key[64:], int(tag_block, 2).to_bytes(16))), 128)
    hidden = bits(int(head, 2) ^ int(mask[66:72] + mask[88:], 2), 46)
    whole = out[:48] + "1000" + out[52:64] + "10" + hidden[:6] + out[72:88] + hidden[6:]
    text = int(whole, 2).to_bytes(16).hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def main() -> None:
    names = ("id_key", "master", "slave", "position", "size_bytes")
    vectors = [dict(zip(names, case, strict=True)) | {"key_ID": key_id(*case)} for case in CASES]
    origin = "docs/reference/key-ids.md computed by make_key_ids.py with openssl enc and openssl dgst"
    target = Path(__file__).with_name("key_ids.json")
    target.write_text(json.dumps({"origin": origin, "vectors": vectors}, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
