/* How long things took, in buckets that are less than 1 % wide: as small for ten million times as for ten. */

#include <stdint.h>

#define SUB_BITS 7
#define BUCKETS ((64 - SUB_BITS) << SUB_BITS)

struct histogram {
    uint64_t count, greatest, buckets[BUCKETS];
};

/* Times up to 2^SUB_BITS ns have a bucket each; then every doubling has 2^SUB_BITS of them. */
static inline unsigned bucket_of(uint64_t ns) {
    if (ns >> SUB_BITS == 0) return ns;
    unsigned shift = 63 - SUB_BITS - __builtin_clzll(ns);
    return ((shift + 1) << SUB_BITS) + ((ns >> shift) & ((1u << SUB_BITS) - 1));
}

static inline double middle_of(unsigned bucket) {
    unsigned octave = bucket >> SUB_BITS, step = bucket & ((1u << SUB_BITS) - 1);
    if (!octave) return step;
    return ((1u << SUB_BITS) + step + 0.5) * (double)(1ull << (octave - 1));
}

static inline void note(struct histogram *h, uint64_t ns) {
    h->count++;
    h->buckets[bucket_of(ns)]++;
    if (ns > h->greatest) h->greatest = ns;
}

/* In milliseconds: of all times the share `quantile` was no longer. */
static inline double quantile_ms(const struct histogram *h, double quantile) {
    uint64_t rank = h->count * quantile, seen = 0;
    for (unsigned bucket = 0; bucket < BUCKETS; bucket++)
        if ((seen += h->buckets[bucket]) > rank) return middle_of(bucket) * 1e-6;
    return h->greatest * 1e-6;
}
