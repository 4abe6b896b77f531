"""Random numbers of named streams, as compiler/bundle/CONTRACT.md says, and what a step draws of them."""
import math
import numpy as np

WORD = 0xFFFFFFFF

def words(count, seed, purpose, time, index=0):
    """The first words, of 32 bits, of the stream (seed, purpose, time, index) of Philox4x32-10."""
    name = 0x811C9DC5
    for byte in purpose.encode("utf-16-le"):
        name = (name ^ byte) * 0x01000193 & WORD
    a, k, m = np.arange(-(-count // 4), dtype=np.uint64), seed & WORD, seed >> 32
    b, c, d = (np.full(len(a), word, np.uint64) for word in (index, time, name))
    for _ in range(10):
        left, right = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = right >> 32 ^ b ^ k, right & WORD, left >> 32 ^ d ^ m, left & WORD
        k, m = k + 0x9E3779B9 & WORD, m + 0xBB67AE85 & WORD
    return np.stack([a, b, c, d], axis=1).reshape(-1)[:count]

def uniforms(count, *stream):
    """The first numbers in [0, 1) of a stream, each of two words."""
    pairs = words(2 * count, *stream).reshape(-1, 2)
    return ((pairs[:, 0] >> 5) * 2.0**26 + (pairs[:, 1] >> 6)) / 2.0**53

def normal(*stream):
    """The first normal number of a stream."""
    u, v = uniforms(2, *stream)
    return math.sqrt(-2 * math.log(1 - u)) * math.cos(2 * math.pi * v)

def shuffled(places, numbers):
    """The places exchanged, from the last one down, by the next uniform numbers of an iterator."""
    for last in range(len(places) - 1, 0, -1):
        chosen = math.floor(next(numbers) * (last + 1))
        places[last], places[chosen] = places[chosen], places[last]
    return places

def task_orders(tasks, *stream):
    """Of each task the places of the others, in a drawn order."""
    numbers = iter(uniforms(tasks * tasks, *stream))
    return [shuffled([other for other in range(tasks) if other != task], numbers) for task in range(tasks)]
