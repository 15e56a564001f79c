/*
 * The floor for epoll: one thread, level-triggered, one receive into one hot
 * buffer per readiness, the answers sent at once.
 */
#define _GNU_SOURCE
#include "floor.h"

#include <sys/epoll.h>

struct conn {
	unsigned pending;      /* requests not answered yet */
	unsigned sent;         /* bytes of the first pending response already sent */
	unsigned char matched; /* see count_requests */
	bool writing;          /* waiting for EPOLLOUT instead of EPOLLIN */
};

static int epoll_fd, listen_fd;
static bool accepting = true;
static struct conn *conns; /* by descriptor */
static char input[16 * 1024];

static void watch(int op, int fd, unsigned events)
{
	struct epoll_event event = { .events = events, .data.fd = fd };

	if (epoll_ctl(epoll_fd, op, fd, &event) < 0)
		die("epoll_ctl");
}

static void set_accepting(bool on)
{
	accepting = on;
	watch(EPOLL_CTL_MOD, listen_fd, on ? EPOLLIN : 0);
}

static void drop(int fd)
{
	close(fd);
	if (!accepting)
		set_accepting(true);
}

static void on_listener(void)
{
	for (;;) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno == EAGAIN)
				return;
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			/* Out of descriptors or memory: a readable listener
			 * would spin. Go on when a connection has closed. */
			set_accepting(false);
			return;
		}
		conns[fd] = (struct conn){ 0 };
		watch(EPOLL_CTL_ADD, fd, EPOLLIN);
	}
}

/* Sends what is pending. Input waits meanwhile, so a client that does not read
 * cannot make the server do more work. */
static void flush(int fd, struct conn *c)
{
	while (c->pending > 0) {
		unsigned copies = c->pending < MAX_COPIES ? c->pending : MAX_COPIES;
		ssize_t n = send(fd, response.bytes + c->sent,
				 copies * response.one - c->sent, MSG_NOSIGNAL);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			if (errno != EAGAIN) {
				drop(fd);
			} else if (!c->writing) {
				c->writing = true;
				watch(EPOLL_CTL_MOD, fd, EPOLLOUT);
			}
			return;
		}
		c->pending -= (c->sent + n) / response.one;
		c->sent = (c->sent + n) % response.one;
	}
	if (c->writing) {
		c->writing = false;
		watch(EPOLL_CTL_MOD, fd, EPOLLIN);
	}
}

static void on_readable(int fd, struct conn *c)
{
	ssize_t n = recv(fd, input, sizeof input, 0);

	if (n > 0) {
		c->pending += count_requests(&c->matched, input, n);
		flush(fd, c);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		drop(fd);
	}
}

static void usage(FILE *to)
{
	fputs("usage: floor-epoll [-p port]\n"
	      "Answers every HTTP request on loopback with the same 13 bytes, by epoll.\n"
	      "  -p port  port to listen on; 0, the default, lets the kernel choose\n"
	      "  -h       this help\n", to);
}

int main(int argc, char **argv)
{
	struct epoll_event events[512];
	int opt, port = 0;

	while ((opt = getopt(argc, argv, "p:h")) != -1) {
		switch (opt) {
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
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		die("epoll_create1");
	listen_fd = listen_loopback(port);
	watch(EPOLL_CTL_ADD, listen_fd, EPOLLIN);

	for (;;) {
		int n = epoll_wait(epoll_fd, events, 512, -1);

		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		refresh_response();
		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd == listen_fd)
				on_listener();
			else if (conns[fd].writing)
				flush(fd, &conns[fd]);
			else
				on_readable(fd, &conns[fd]);
		}
	}
}
