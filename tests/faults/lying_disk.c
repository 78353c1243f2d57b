/* A disk that fails one sync and then lies, for LD_PRELOAD: the SYNC_FAILS_AT-th fdatasync of the
 * process is an EIO, and every later one of the same file succeeds without doing anything. So a
 * failed sync looks on Linux: the pages that could not be written are marked clean, and the next
 * call knows nothing of it. Other files are synced as ever. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_long calls;
static atomic_ulong failed_inode;

int fdatasync(int fd) {
  const char *at = getenv("SYNC_FAILS_AT");
  struct stat file;
  if (fstat(fd, &file) != 0) return -1;
  if (at && atomic_fetch_add(&calls, 1) + 1 == atol(at)) {
    atomic_store(&failed_inode, file.st_ino);
    (void)!write(2, "a sync has failed\n", 18);
    errno = EIO;
    return -1;
  }
  if (atomic_load(&failed_inode) == file.st_ino) return 0;
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
  return real(fd);
}
