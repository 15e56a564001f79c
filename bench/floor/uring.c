/*
 * The floor for io_uring: one thread, one system call per turn. Multishot accept,
 * multishot receive from a ring of provided buffers, one send in flight per
 * connection.
 */
#define _GNU_SOURCE
#include "floor.h"
#include "ring.h"

struct conn {
	unsigned pending;      /* requests not answered yet */
	unsigned sending;      /* bytes of the send in flight, 0 if none */
	unsigned char matched; /* see count_requests */
	bool receiving;        /* the multishot receive is armed */
};

/* user_data is the operation and the descriptor. A descriptor is closed only when
 * the kernel holds no request for it, so a completion never meets a successor. */
enum op { OP_ACCEPT, OP_RECV, OP_SEND };

static int listen_fd;
static bool accepting;
static struct conn *conns; /* by descriptor */

static uint64_t user_data(enum op op, int fd)
{
	return (uint64_t)op << 32 | (unsigned)fd;
}

static void arm_accept(void)
{
	struct io_uring_sqe *sqe = ring_sqe();

	sqe->opcode = IORING_OP_ACCEPT;
	sqe->fd = listen_fd;
	sqe->ioprio = IORING_ACCEPT_MULTISHOT;
	sqe->accept_flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
	sqe->user_data = user_data(OP_ACCEPT, listen_fd);
	accepting = true;
}

static void arm_recv(int fd, unsigned flags)
{
	struct io_uring_sqe *sqe = ring_sqe();

	sqe->opcode = IORING_OP_RECV;
	sqe->flags = IOSQE_BUFFER_SELECT;
	sqe->ioprio = IORING_RECV_MULTISHOT | flags;
	sqe->fd = fd;
	sqe->user_data = user_data(OP_RECV, fd);
	conns[fd].receiving = true;
}

static void send_pending(int fd, struct conn *c)
{
	unsigned copies = c->pending < MAX_COPIES ? c->pending : MAX_COPIES;
	struct io_uring_sqe *sqe = ring_sqe();

	c->pending -= copies;
	c->sending = copies * response.one;
	sqe->opcode = IORING_OP_SEND;
	sqe->fd = fd;
	sqe->addr = (uintptr_t)response.bytes;
	sqe->len = c->sending;
	sqe->msg_flags = MSG_WAITALL | MSG_NOSIGNAL; /* complete or error */
	sqe->user_data = user_data(OP_SEND, fd);
}

/* Does what the connection needs next, once no send is in flight. */
static void advance(int fd, struct conn *c)
{
	if (c->sending > 0)
		return;
	if (c->pending > 0) {
		send_pending(fd, c);
	} else if (!c->receiving) {
		close(fd);
		if (!accepting)
			arm_accept();
	}
}

static void on_accept(const struct io_uring_cqe *cqe)
{
	if (cqe->res >= 0) {
		conns[cqe->res] = (struct conn){ 0 };
		arm_recv(cqe->res, 0);
	}
	if (cqe->flags & IORING_CQE_F_MORE)
		return;
	if (cqe->res >= 0) {
		arm_accept();
		return;
	}
	switch (-cqe->res) {
	case EAGAIN:
	case ECONNABORTED:
	case EINTR:
		arm_accept();
		break;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		/* It would fail again at once: wait until a connection has closed. */
		accepting = false;
		break;
	default:
		errno = -cqe->res;
		die("accept");
	}
}

static void on_recv(int fd, const struct io_uring_cqe *cqe)
{
	struct conn *c = &conns[fd];

	if (cqe->flags & IORING_CQE_F_BUFFER) {
		uint16_t bid = cqe->flags >> IORING_CQE_BUFFER_SHIFT;

		if (cqe->res > 0)
			c->pending += count_requests(&c->matched,
						     ring.buffers + (size_t)bid * BUFFER_SIZE, cqe->res);
		ring_return_buffer(bid);
	}
	if (!(cqe->flags & IORING_CQE_F_MORE)) {
		c->receiving = false;
		if (cqe->res > 0)
			arm_recv(fd, 0);
		else if (cqe->res == -ENOBUFS)
			/* The data is still in the socket; polling first does not
			 * fail on a ring that is still empty. */
			arm_recv(fd, IORING_RECVSEND_POLL_FIRST);
		else if (cqe->res < 0)
			c->pending = 0;
	}
	advance(fd, c);
}

static void on_send(int fd, const struct io_uring_cqe *cqe)
{
	struct conn *c = &conns[fd];
	bool failed = cqe->res != (int)c->sending;

	c->sending = 0;
	if (failed) {
		c->pending = 0;
		/* Ends the receive; its last completion closes the connection. */
		shutdown(fd, SHUT_RDWR);
	}
	advance(fd, c);
}

static void handle_completions(void)
{
	unsigned head = *ring.cq_khead;
	unsigned tail = __atomic_load_n(ring.cq_ktail, __ATOMIC_ACQUIRE);

	for (; head != tail; head++) {
		const struct io_uring_cqe *cqe = &ring.cqes[head & ring.cq_mask];
		int fd = (int)(uint32_t)cqe->user_data;

		switch ((enum op)(cqe->user_data >> 32)) {
		case OP_ACCEPT: on_accept(cqe); break;
		case OP_RECV: on_recv(fd, cqe); break;
		case OP_SEND: on_send(fd, cqe); break;
		}
	}
	__atomic_store_n(ring.cq_khead, head, __ATOMIC_RELEASE);
	ring_publish_buffers();
}

static void usage(FILE *to)
{
	fputs("usage: floor-uring [-d] [-p port]\n"
	      "Answers every HTTP request on loopback with the same 13 bytes, by io_uring\n"
	      "(Linux 6.1 or later).\n"
	      "  -d       create the ring with SINGLE_ISSUER|DEFER_TASKRUN instead of\n"
	      "           COOP_TASKRUN|TASKRUN_FLAG\n"
	      "  -p port  port to listen on; 0, the default, lets the kernel choose\n"
	      "  -h       this help\n", to);
}

int main(int argc, char **argv)
{
	bool defer = false;
	int opt, port = 0;

	while ((opt = getopt(argc, argv, "dp:h")) != -1) {
		switch (opt) {
		case 'd': defer = true; break;
		case 'p': port = parse_port(optarg); break;
		case 'h': usage(stdout); return 0;
		default: usage(stderr); return 2;
		}
	}
	if (optind < argc) {
		usage(stderr);
		return 2;
	}

	conns = calloc(prepare_process(), sizeof *conns);
	if (conns == NULL)
		die("calloc");
	ring_open(defer);
	listen_fd = listen_loopback(port);
	arm_accept();
	for (;;) {
		ring_enter(true);
		refresh_response();
		handle_completions();
	}
}
