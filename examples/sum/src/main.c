/* Adds up the numbers of an event: {"numbers":[1,2,3]} gives {"count":3,"sum":6}. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char event[64 * 1024];

int main(void) {
  size_t length = fread(event, 1, sizeof event - 1, stdin);
  event[length] = '\0';

  char *at = strstr(event, "\"numbers\"");
  at = at ? strchr(at, '[') : NULL;
  if (!at) {
    fprintf(stderr, "the event has no array `numbers`\n");
    return 1;
  }
  int count = 0;
  double sum = 0;
  for (at++; *at && *at != ']';) {
    char *end;
    double number = strtod(at, &end);
    if (end == at) {
      at++; /* a comma or a space */
      continue;
    }
    sum += number;
    count++;
    at = end;
  }
  printf("{\"count\":%d,\"sum\":%.15g}", count, sum);
  return 0;
}
