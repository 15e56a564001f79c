/*
 * What the two floor programs share: options, the listening socket, the
 * response and the parser. Only the engine differs between uring.c and epoll.c,
 * so that a difference between their figures is a difference between engines.
 *
 * The floors are yardsticks, not servers: they count blank lines and answer each
 * with the same bytes. There are no bodies, no errors, no timeouts, and
 * "Connection: close" is not honoured.
 */
#ifndef FLOOR_H
#define FLOOR_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* The most responses that leave in one send. A pipelining client that has more
 * outstanding gets the rest with the next one. */
enum { MAX_COPIES = 256 };

static void die(const char *doing)
{
	fprintf(stderr, "%s: %s\n", doing, strerror(errno));
	exit(1);
}

/* ---- options ---- */

/* Parses a port number; 0 lets the kernel choose. */
static int parse_port(const char *text)
{
	char *end;
	long port = strtol(text, &end, 10);

	if (*text == '\0' || *end != '\0' || port < 0 || port > 65535) {
		fprintf(stderr, "-p %s: want a port from 0 to 65535\n", text);
		exit(2);
	}
	return (int)port;
}

/* ---- process ---- */

static void quit(int sig)
{
	(void)sig;
	_exit(0); /* nothing to save, and no window in which a signal is missed */
}

/* Makes SIGTERM and SIGINT a normal end, and raises the descriptor limit to
 * what is allowed, at most 2^20. Returns that limit. */
static size_t prepare_process(void)
{
	struct sigaction action = { .sa_handler = quit };
	struct rlimit limit;

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		die("getrlimit");
	limit.rlim_cur = limit.rlim_max < 1 << 20 ? limit.rlim_max : 1 << 20;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		die("setrlimit");
	return limit.rlim_cur;
}

/* ---- listening ---- */

static int listen_loopback(int port)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons((unsigned short)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t size = sizeof addr;
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	/* Accepted sockets inherit it: no system call per connection. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
		die("bind");
	if (listen(fd, 4096) < 0)
		die("listen");
	if (getsockname(fd, (struct sockaddr *)&addr, &size) < 0)
		die("getsockname");
	printf("listening on 127.0.0.1:%d\n", ntohs(addr.sin_port));
	fflush(stdout);
	return fd;
}

/* ---- response ---- */

/* MAX_COPIES responses one after the other, so that any batch is one contiguous
 * piece of memory and nothing is copied per request. */
static struct {
	char bytes[MAX_COPIES * 160];
	size_t one; /* length of one response, the same every second */
	time_t second;
} response;

/* Rewrites the Date header when the second has changed. A send that the kernel
 * still holds may leave with a newer date; its length stays what it was. */
static void refresh_response(void)
{
	struct timespec now;
	struct tm tm;
	char date[64], text[160];
	int n;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec == response.second)
		return;
	gmtime_r(&now.tv_sec, &tm);
	strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	n = snprintf(text, sizeof text,
		     "HTTP/1.1 200 OK\r\n"
		     "Server: ringkit\r\n"
		     "Date: %s\r\n"
		     "Content-Type: text/plain\r\n"
		     "Content-Length: 13\r\n"
		     "\r\n"
		     "Hello, World!", date);
	for (int i = 0; i < MAX_COPIES; i++)
		memcpy(response.bytes + i * n, text, n);
	response.one = n;
	response.second = now.tv_sec;
}

/* ---- parser ---- */

/* Counts the "\r\n\r\n" that end in data. *matched carries how many bytes of a
 * terminator the connection's earlier data ended with. */
static unsigned count_requests(unsigned char *matched, const char *data, size_t size)
{
	const char *at = data, *end = data + size;
	unsigned found = 0, state = *matched;

	while (at < end) {
		if (state == 0) {
			at = memchr(at, '\r', end - at);
			if (at == NULL)
				break;
			at++;
			state = 1;
			continue;
		}
		char c = *at++;
		if (c == (state % 2 ? '\n' : '\r'))
			state++;
		else
			state = c == '\r';
		if (state == 4) {
			found++;
			state = 0;
		}
	}
	*matched = state;
	return found;
}

#endif
