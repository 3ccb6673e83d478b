/* Probes an agent repeatedly, as HAProxy does: it connects, sends a name or nothing, and reads one line.
 *
 *     probe rate    ADDRESS PORT SECONDS CLIENTS IDLE NAMES PROCESS
 *     probe latency ADDRESS PORT COUNT NAME
 *     probe lost    ADDRESS PORT COUNT CLIENTS END SEND
 *
 * rate: makes IDLE connections that send nothing, then probes for SECONDS with CLIENTS at a time. NAMES is the number of
 *   names: the probes send s1 to sNAMES in turn. If NAMES begins with `h`, they send HTTP requests. If it is 0, they send
 *   nothing. PROCESS is the process id of the agent. Prints: probes with a whole line, seconds, probes without a whole line,
 *   nanoseconds of processor time of PROCESS, and the 99th percentile from connect to end in microseconds.
 * latency: makes COUNT probes one after the other, and sends NAME unless it is empty. Prints a line for each probe: the
 *   microseconds from connect to the end of the reply, or 0 if there was no whole line.
 * lost: makes COUNT probes with CLIENTS at a time. SEND is a number of bytes, a name, or `http` or `http-close` for an HTTP request
 *   without or with Connection: close. END is
 *   what the client then does: `eof` reads to the end, `close` closes at the newline, `reset` resets the connection at the
 *   newline. Prints: probes, whole lines, lost lines.
 *
 * Every mode ends within a bounded time. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common.h"

enum end { END_OF_FILE, CLOSE, RESET };

struct client {
	int socket, length;
	char last;
	double since;
};

static struct sockaddr_in address;
static int epoll;
static long whole, incomplete;
/* The durations of the probes with a whole line, in microseconds. */
static float took[1 << 20];

static int connected(void) {
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* On loopback, connecting takes no time unless the agent's queue is full. */
	if (client < 0 || connect(client, (void *)&address, sizeof address))
		die("connect");
	return client;
}

static void start(struct client *client, const char *bytes, size_t count) {
	client->since = seconds();
	client->socket = connected();
	client->length = 0;
	/* It does not wait for room: HAProxy's own request always fits. */
	if (count && send(client->socket, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		die("send");
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, client->socket, &event))
		die("epoll_ctl");
}

/* Reads the bytes that have arrived. Returns 1 if the probe has ended. */
static int receive(struct client *client, enum end end) {
	char buffer[1024];
	for (;;) {
		ssize_t got = recv(client->socket, buffer, sizeof buffer, MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (got > 0) {
			client->length += got;
			client->last = buffer[got - 1];
		}
		int line = client->length > 0 && client->last == '\n';
		if (got > 0 && !(line && end != END_OF_FILE))
			continue;
		/* The end of the reply, an error (a reset), or the newline with `close` and `reset`. */
		if (line && whole < (long)(sizeof took / sizeof *took))
			took[whole] = 1e6 * (seconds() - client->since);
		*(line ? &whole : &incomplete) += 1;
		if (line && end == RESET) {
			struct linger at_once = {1, 0};
			setsockopt(client->socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
		}
		close(client->socket);
		return 1;
	}
}

static int by_http;

/* Runs probes until `count` have ended, or until the time `until`. */
static void probe(long count, double until, int clients, int names, enum end end, const char *bytes,
                  size_t size) {
	const char *form = by_http ? "GET /s%ld HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" : "s%ld\n";
	struct epoll_event events[64];
	struct client *all = calloc(clients, sizeof *all);
	long started = 0, ended = 0;
	char name[128];
	epoll = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < clients; i++)
		all[i].socket = -1;
	for (int ready = 0; ended < count && seconds() < until; ready = epoll_wait(epoll, events, 64, 100)) {
		for (int i = 0; i < ready; i++) {
			struct client *client = events[i].data.ptr;
			if (receive(client, end)) {
				client->socket = -1;
				ended++;
			}
		}
		for (int i = 0; i < clients && started < count; i++) {
			if (all[i].socket >= 0)
				continue;
			if (names)
				size = sprintf(name, form, started % names + 1), bytes = name;
			start(&all[i], bytes, size);
			started++;
		}
	}
}

/* The processor time of the process, in nanoseconds. */
static long long on_cpu(const char *process) {
	char path[64];
	long long nanoseconds = 0;
	snprintf(path, sizeof path, "/proc/%s/schedstat", process);
	FILE *file = fopen(path, "r");
	if (!file || fscanf(file, "%lld", &nanoseconds) != 1)
		die(path);
	fclose(file);
	return nanoseconds;
}

static int ascending(const void *left, const void *right) {
	float a = *(const float *)left, b = *(const float *)right;
	return (a > b) - (a < b);
}

static void rate(double time, int clients, int idle, int names, const char *process) {
	/* These connections end with this process. The pause is long enough for the agent to accept them. */
	for (int i = 0; i < idle; i++)
		connected();
	usleep(50000);
	long long spent = on_cpu(process);
	double began = seconds();
	probe(1L << 60, began + time, clients, names, END_OF_FILE, 0, 0);
	double all = seconds() - began;
	spent = on_cpu(process) - spent;
	long kept = whole < (long)(sizeof took / sizeof *took) ? whole : (long)(sizeof took / sizeof *took);
	qsort(took, kept, sizeof *took, ascending);
	printf("%ld %.3f %ld %lld %.1f\n", whole, all, incomplete, spent, kept ? took[(kept - 1) * 99 / 100] : 0);
}

static void lost(long count, int clients, enum end end, const char *text) {
	/* One line: an HTTP request, a name, or this number of bytes. */
	static char bytes[65536];
	size_t size = atoi(text);
	memset(bytes, 'x', sizeof bytes);
	if (!strncmp(text, "http", 4))
		size = snprintf(bytes, sizeof bytes, "GET /web HTTP/1.1\r\nHost: web\r\n%s\r\n",
		                strcmp(text, "http-close") ? "" : "Connection: close\r\n");
	else if (size == 0)
		size = snprintf(bytes, sizeof bytes, "%s\n", text);
	else if (size < sizeof bytes)
		bytes[size - 1] = '\n';
	probe(count, seconds() + 60, clients, 0, end, bytes, size < sizeof bytes ? size : sizeof bytes);
	printf("%ld %ld %ld\n", whole + incomplete, whole, incomplete);
}

static void latency(int count, const char *name) {
	double until = seconds() + 60;
	char buffer[16384], request[80];
	int size = *name ? snprintf(request, sizeof request, "%s\n", name) : 0;
	for (; count > 0 && seconds() < until; count--) {
		int length = 0;
		ssize_t got;
		double start = seconds();
		int client = connected();
		if (size)
			send(client, request, size, MSG_NOSIGNAL);
		while ((got = recv(client, buffer + length, sizeof buffer - length, 0)) > 0)
			length += got;
		double took = seconds() - start;
		close(client);
		printf("%.1f\n", length && buffer[length - 1] == '\n' ? took * 1e6 : 0);
	}
}

int main(int count, char **words) {
	if (count < 6)
		return 2;
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	address.sin_family = AF_INET;
	address.sin_port = htons(atoi(words[3]));
	inet_pton(AF_INET, words[2], &address.sin_addr);
	if (!strcmp(words[1], "latency"))
		latency(atoi(words[4]), words[5]);
	else if (!strcmp(words[1], "rate") && count > 8) {
		by_http = words[7][0] == 'h';
		rate(atof(words[4]), atoi(words[5]), atoi(words[6]), atoi(words[7] + by_http), words[8]);
	}
	else if (!strcmp(words[1], "lost") && count > 7) {
		char end = words[6][0];
		lost(atol(words[4]), atoi(words[5]), end == 'e' ? END_OF_FILE : end == 'c' ? CLOSE : RESET, words[7]);
	} else
		return 2;
	return 0;
}
