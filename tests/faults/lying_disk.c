/* A disk that fails one sync and then lies, for LD_PRELOAD: the SYNC_FAILS_AT-th fdatasync of the
 * process is an EIO, and every one after it succeeds without doing anything. So a failed sync
 * looks on Linux: the pages that could not be written are marked clean, and the next call knows
 * nothing of it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

static atomic_long calls;

int fdatasync(int fd) {
  const char *at = getenv("SYNC_FAILS_AT");
  long fails_at = at ? atol(at) : 0;
  long call = atomic_fetch_add(&calls, 1) + 1;
  if (fails_at > 0 && call == fails_at) {
    errno = EIO;
    return -1;
  }
  if (fails_at > 0 && call > fails_at) return 0;
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  return real(fd);
}
