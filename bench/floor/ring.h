/*
 * A small io_uring: set-up, submission, completion and one ring of provided
 * buffers, on the bare system calls.
 */
#ifndef RING_H
#define RING_H

#include <linux/io_uring.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "floor.h"

/* Newer than the headers of the oldest distribution in use. */
#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1U << 16) /* Linux 6.6 */
#endif

enum {
	SQ_ENTRIES = 512,
	CQ_ENTRIES = 4096,
	BUFFERS = 512, /* a power of two */
	BUFFER_SIZE = 4096,
};

static struct {
	/* What io_uring_enter wants: the descriptor, or its index in the
	 * thread's table of registered rings. */
	int enter_fd;
	unsigned enter_flags;

	struct io_uring_sqe *sqes;
	unsigned sq_mask, sq_tail, sq_entries;
	unsigned unsubmitted;
	unsigned *sq_ktail;

	struct io_uring_cqe *cqes;
	unsigned cq_mask;
	unsigned *cq_khead, *cq_ktail;

	struct io_uring_buf_ring *buf_ring;
	char *buffers;
	uint16_t buf_tail;
} ring;

static int ring_setup(unsigned flags, struct io_uring_params *params)
{
	*params = (struct io_uring_params){ .flags = flags, .cq_entries = CQ_ENTRIES };
	return syscall(SYS_io_uring_setup, SQ_ENTRIES, params);
}

static void *map(int fd, size_t size, off_t offset)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_POPULATE, fd, offset);

	if (at == MAP_FAILED)
		die("mmap");
	return at;
}

/* Makes buffer bid available again. The kernel sees it after ring_publish_buffers. */
static void ring_return_buffer(uint16_t bid)
{
	struct io_uring_buf *b = &ring.buf_ring->bufs[ring.buf_tail++ & (BUFFERS - 1)];

	/* Field by field: the reserved field of entry 0 is the ring's tail. */
	b->addr = (uintptr_t)(ring.buffers + (size_t)bid * BUFFER_SIZE);
	b->len = BUFFER_SIZE;
	b->bid = bid;
}

static void ring_publish_buffers(void)
{
	__atomic_store_n(&ring.buf_ring->tail, ring.buf_tail, __ATOMIC_RELEASE);
}

static void ring_provide_buffers(int fd)
{
	struct io_uring_buf_reg reg = { .ring_entries = BUFFERS };

	ring.buf_ring = map(-1, BUFFERS * sizeof(struct io_uring_buf), 0);
	ring.buffers = map(-1, (size_t)BUFFERS * BUFFER_SIZE, 0);
	reg.ring_addr = (uintptr_t)ring.buf_ring;
	if (syscall(SYS_io_uring_register, fd, IORING_REGISTER_PBUF_RING, &reg, 1) < 0)
		die("io_uring_register buffer ring");
	for (unsigned bid = 0; bid < BUFFERS; bid++)
		ring_return_buffer(bid);
	ring_publish_buffers();
}

/* Creates the ring. With defer, completions are run only by the thread that
 * waits for them (SINGLE_ISSUER|DEFER_TASKRUN); without, any thread might
 * submit, as in ringkit (COOP_TASKRUN|TASKRUN_FLAG). */
static void ring_open(bool defer)
{
	unsigned flags = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
	struct io_uring_params p;
	struct io_uring_rsrc_update update;
	char *rings;
	size_t size, cq_size;
	int fd;

	if (defer)
		flags |= IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
	else
		flags |= IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;

	fd = ring_setup(flags | IORING_SETUP_NO_SQARRAY, &p);
	if (fd < 0 && errno == EINVAL)
		fd = ring_setup(flags, &p);
	if (fd < 0)
		die("io_uring_setup");
	if (!(p.features & IORING_FEAT_SINGLE_MMAP)) {
		fputs("io_uring: kernel without SINGLE_MMAP\n", stderr);
		exit(1);
	}

	size = p.sq_off.array + p.sq_entries * sizeof(unsigned);
	cq_size = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
	rings = map(fd, size > cq_size ? size : cq_size, IORING_OFF_SQ_RING);
	ring.sqes = map(fd, p.sq_entries * sizeof *ring.sqes, IORING_OFF_SQES);
	ring.sq_entries = p.sq_entries;
	ring.sq_mask = p.sq_entries - 1;
	ring.sq_ktail = (unsigned *)(rings + p.sq_off.tail);
	ring.cqes = (struct io_uring_cqe *)(rings + p.cq_off.cqes);
	ring.cq_mask = p.cq_entries - 1;
	ring.cq_khead = (unsigned *)(rings + p.cq_off.head);
	ring.cq_ktail = (unsigned *)(rings + p.cq_off.tail);
	if (!(p.flags & IORING_SETUP_NO_SQARRAY)) {
		unsigned *array = (unsigned *)(rings + p.sq_off.array);
		for (unsigned i = 0; i < p.sq_entries; i++)
			array[i] = i;
	}

	/* Saves looking up the descriptor on every enter. */
	ring.enter_fd = fd;
	update = (struct io_uring_rsrc_update){ .offset = ~0U, .data = fd };
	if (syscall(SYS_io_uring_register, fd, IORING_REGISTER_RING_FDS, &update, 1) == 1) {
		ring.enter_fd = update.offset;
		ring.enter_flags = IORING_ENTER_REGISTERED_RING;
	}
	ring_provide_buffers(fd);
}

/* Submits everything prepared and, if asked to, waits for a completion. */
static void ring_enter(bool wait)
{
	long n;

	__atomic_store_n(ring.sq_ktail, ring.sq_tail, __ATOMIC_RELEASE);
	n = syscall(SYS_io_uring_enter, ring.enter_fd, ring.unsubmitted, wait,
		    ring.enter_flags | (wait ? IORING_ENTER_GETEVENTS : 0), NULL, 0);
	if (n >= 0)
		ring.unsubmitted -= n;
	else if (errno != EINTR && errno != EAGAIN && errno != EBUSY)
		die("io_uring_enter");
}

static struct io_uring_sqe *ring_sqe(void)
{
	struct io_uring_sqe *sqe;

	while (ring.unsubmitted == ring.sq_entries)
		ring_enter(false);
	sqe = &ring.sqes[ring.sq_tail++ & ring.sq_mask];
	ring.unsubmitted++;
	memset(sqe, 0, sizeof *sqe);
	return sqe;
}

#endif
