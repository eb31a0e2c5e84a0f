/* Counts the primes below `n`: the event {"n": 1000} on standard input, the result on standard output.
 *
 * What is written to standard error becomes log lines; an exit status other than 0 makes the run fail. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_MAX = 1000000 };

/* The number that follows the key; -1 when there is none. */
static long member(const char *json, const char *key) {
    const char *at = strstr(json, key);
    if (at == NULL)
        return -1;
    at += strlen(key);
    while (isspace((unsigned char)*at))
        at++;
    if (*at++ != ':')
        return -1;
    char *end;
    long value = strtol(at, &end, 10);
    return end == at ? -1 : value;
}

int main(void) {
    char event[4096];
    size_t length = fread(event, 1, sizeof event - 1, stdin);
    event[length] = 0;
    long n = member(event, "\"n\"");
    if (n < 0 || n > N_MAX) {
        fprintf(stderr, "the event needs a number \"n\" from 0 to %d\n", N_MAX);
        return 1;
    }
    char *composite = calloc((size_t)n + 1, 1);
    if (composite == NULL) {
        fprintf(stderr, "no memory for %ld numbers\n", n);
        return 1;
    }
    long count = 0, largest = 0;
    for (long i = 2; i < n; i++) {
        if (composite[i])
            continue;
        count++;
        largest = i;
        for (long j = i * i; j < n; j += i)
            composite[j] = 1;
    }
    fprintf(stderr, "sieved %ld numbers\n", n);
    printf("{\"n\": %ld, \"primes\": %ld, \"largest\": %ld}\n", n, count, largest);
    return 0;
}
