"""The proof that what came is what was sent, by two one-time MACs whose keys go two ways.

    secret = inner key (32) ‖ salt (16) ‖ guard (16) ‖ data        on its way along the paths
    check  = Poly1305(inner key, header ‖ data) XOR Poly1305(outer key, header ‖ data)

The outer key and the check go from the source to the destination, in the announcement; the header is the rest of that.

 * Whoever is on a path, and knows and alters all that comes along it, does not know the outer key. (A node of a
   hop-by-hop path knows the inner key, so this is what stops him.)
 * Whoever reads and alters the announcement, but knows of the secret less than the threshold, can shift the secret by
   an XOR. A shifted inner key is found out by its guard, all but 2^-126 of the time (`guard`); one that was not
   shifted is a key that he does not know.

Either way an altered message of L bytes passes a Wegman-Carter check under a key that is used once and that he does not
know: with a chance of 8·⌈L/16⌉ / 2^106 (Bernstein 2005), which is 2^-92 for a block of 32 KiB. The other MAC changes
nothing of that: it is a number that he may as well be told. And the check tells nothing of the data, because the last
half of either key adds a random number to it.
"""

import hmac

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.poly1305 import Poly1305

from keyhop.core.entropy import Entropy
from keyhop.core.xor import xor
from keyhop.network.relay.guard import guard
from keyhop.network.relay.messages import SECRET_HEAD_BYTES

KEY_BYTES = 32
SALT_BYTES = 16


def secret_of(data: bytes, entropy: Entropy) -> bytes:
    """What travels along the paths."""
    key, salt = entropy.token(KEY_BYTES), entropy.token(SALT_BYTES)
    return key + salt + guard(key, salt) + data


def check_of(secret: bytes, outer_key: bytes, header: bytes) -> bytes:
    """16 bytes."""
    data = secret[SECRET_HEAD_BYTES:]
    return xor(_mac(secret[:KEY_BYTES], header, data), _mac(outer_key, header, data))


def proven(secret: bytes, outer_key: bytes, header: bytes, check: bytes) -> bytes:
    """The data. Raises InvalidSignature for anything but what the source sent."""
    key, salt = secret[:KEY_BYTES], secret[KEY_BYTES : KEY_BYTES + SALT_BYTES]
    guarded = hmac.compare_digest(guard(key, salt), secret[KEY_BYTES + SALT_BYTES : SECRET_HEAD_BYTES])
    if not guarded or not hmac.compare_digest(check_of(secret, outer_key, header), check):
        raise InvalidSignature
    return secret[SECRET_HEAD_BYTES:]


def _mac(key: bytes, header: bytes, data: bytes) -> bytes:
    poly = Poly1305(key)
    poly.update(header)
    poly.update(data)
    return poly.finalize()
