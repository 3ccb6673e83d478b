/* Requests at random times (Poisson). Each request goes to every policy at once, so all get the same arrivals.
 *
 *     arrivals SEED SERVICE_MS PATIENCE_S RATE:SECONDS[,RATE:SECONDS]... BALANCERS PORT...
 *
 * Each policy has BALANCERS ports, one after the other. A request goes to one of them at random. Each request has a
 * service time, exponential with the given mean, the same for every policy. A client without an answer after PATIENCE_S
 * gives up. The first line on standard output is the time of CLOCK_MONOTONIC at which the first phase begins. Then comes a
 * line for each finished request:
 *
 *     POLICY DUE LATENCY SENT_LATE SERVER SOJOURN ANSWERED_LATE
 *
 * DUE          when the request was due, in seconds since the first phase began
 * LATENCY      seconds since DUE, not since the program sent the request: a late generator makes no policy look faster
 * SENT_LATE    how late the program sent it, in microseconds
 * the others   the body of the server's answer (queue.c); SERVER is -1 if the client gave up, -2 if the request failed
 *
 * The program ends a second after the last phase, when all requests are finished. Its last line is "refused N": the number
 * of connections that it could not open. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common.h"

enum { MAX_PORTS = 256, MAX_PHASES = 16, RESPONSE = 1024, EVENTS = 256 };

struct connection {
	int fd, port, length, waiting;
	double due, late;
	/* The list of idle connections of a port, or of all waiting connections, in the order in which they give up. */
	struct connection *next, *previous;
	char response[RESPONSE];
};

static struct connection *idle[MAX_PORTS];
static struct connection waiting = {.next = &waiting, .previous = &waiting};
static int ports[MAX_PORTS], port_count, balancers, poller;
static long refused;
static double began;

static unsigned long long state;

static double exponential(double mean) { return -mean * log(uniform(&state)); }

static struct connection *connected(int port) {
	struct connection *connection = idle[port];
	if (connection) {
		idle[port] = connection->next;
		return connection;
	}
	struct sockaddr_in address = {
	        .sin_family = AF_INET, .sin_port = htons(ports[port]), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* On loopback, connecting takes no time if the queue has room. Otherwise SENT_LATE shows the delay. */
	if (fd < 0 || connect(fd, (void *)&address, sizeof address)) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	connection = calloc(1, sizeof *connection);
	if (!connection)
		die("calloc");
	connection->fd = fd;
	connection->port = port;
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
	if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event))
		die("epoll_ctl");
	return connection;
}

/* Prints the line of a finished request. */
static void finish(struct connection *connection, const char *result) {
	printf("%d %.6f %.6f %.0f %s\n", connection->port / balancers, connection->due, seconds() - began - connection->due,
	       connection->late * 1e6, result);
	connection->next->previous = connection->previous;
	connection->previous->next = connection->next;
	connection->waiting = 0;
}

static void drop(struct connection *connection, const char *result) {
	finish(connection, result);
	/* A reset tells HAProxy at once that the client has given up. */
	struct linger now = {.l_onoff = 1};
	setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(connection->fd);
	free(connection);
}

static void request(int port, double due, double demand) {
	char text[128];
	struct connection *connection = connected(port);
	if (!connection) {
		refused++;
		return;
	}
	int length = snprintf(text, sizeof text, "GET /work/%.0f HTTP/1.1\r\nHost: x\r\n\r\n", demand * 1e6);
	connection->due = due;
	connection->late = seconds() - began - due;
	connection->length = 0;
	connection->waiting = 1;
	connection->next = &waiting;
	connection->previous = waiting.previous;
	waiting.previous->next = connection;
	waiting.previous = connection;
	if (send(connection->fd, text, length, MSG_NOSIGNAL) != length)
		drop(connection, "-2 0 0");
}

static void readable(struct connection *connection) {
	char *free_part = connection->response + connection->length;
	ssize_t got = recv(connection->fd, free_part, RESPONSE - 1 - connection->length, 0);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (!connection->waiting) {
		/* HAProxy closed an idle connection. */
		struct connection **link = &idle[connection->port];
		while (*link != connection)
			link = &(*link)->next;
		*link = connection->next;
		close(connection->fd);
		free(connection);
		return;
	}
	if (got <= 0) {
		drop(connection, "-2 0 0");
		return;
	}
	connection->length += got;
	connection->response[connection->length] = 0;
	char *body = strstr(connection->response, "\r\n\r\n");
	char *head = strcasestr(connection->response, "content-length:");
	if (!body || !head)
		return;
	body += 4;
	if (strlen(body) < (size_t)atoi(head + 15))
		return;
	if (strncmp(connection->response, "HTTP/1.1 200 ", 13)) {
		drop(connection, "-2 0 0");
		return;
	}
	finish(connection, body);
	connection->next = idle[connection->port];
	idle[connection->port] = connection;
}

int main(int argc, char **argv) {
	double rate[MAX_PHASES], until[MAX_PHASES], end = 0;
	int phases = 0, phase = 0;
	if (argc < 7 || (balancers = atoi(argv[5])) < 1) {
		fprintf(stderr, "usage: arrivals SEED SERVICE_MS PATIENCE_S RATE:SECONDS[,RATE:SECONDS]... BALANCERS PORT...\n");
		return 2;
	}
	state = strtoull(argv[1], 0, 10) * 0x2545f4914f6cdd1d;
	double service = atof(argv[2]) / 1e3, patience = atof(argv[3]);
	for (char *part = strtok(argv[4], ","); part && phases < MAX_PHASES; part = strtok(0, ",")) {
		double length;
		if (sscanf(part, "%lf:%lf", &rate[phases], &length) != 2)
			die("RATE:SECONDS");
		until[phases++] = end += length;
	}
	for (; port_count < argc - 6 && port_count < MAX_PORTS; port_count++)
		ports[port_count] = atoi(argv[6 + port_count]);
	int policies = port_count / balancers;
	poller = epoll_create1(EPOLL_CLOEXEC);
	began = seconds() + 0.2;
	printf("%.6f\n", began);
	fflush(stdout);

	double due = exponential(1 / rate[0]), demand = exponential(service);
	for (long number = 0;;) {
		double now = seconds() - began;
		while (due <= now && due < end) {
			int balancer = balancers > 1 ? uniform(&state) * balancers : 0;
			/* The policies take turns at being the first. */
			for (int turn = 0; turn < policies; turn++)
				request((turn + number) % policies * balancers + balancer, due, demand);
			number++;
			/* The rest of a step counts in the next phase, at the rate of that phase. */
			double step = exponential(1);
			while (phase + 1 < phases && step > (until[phase] - due) * rate[phase]) {
				step -= (until[phase] - due) * rate[phase];
				due = until[phase++];
			}
			due += step / rate[phase];
			demand = exponential(service);
		}
		while (waiting.next != &waiting && waiting.next->due + patience <= now)
			drop(waiting.next, "-1 0 0");
		if (now >= end + 1 && waiting.next == &waiting)
			break;
		double next = due < end ? due : now < end + 1 ? end + 1 : end + patience;
		if (waiting.next != &waiting && waiting.next->due + patience < next)
			next = waiting.next->due + patience;
		double wait = next - (seconds() - began);
		wait = wait > 0 ? wait : 0;
		/* ppoll, because the timeout of epoll_wait has whole milliseconds. */
		struct timespec timeout = {.tv_sec = wait, .tv_nsec = (wait - (long)wait) * 1e9};
		struct pollfd ready = {.fd = poller, .events = POLLIN};
		if (ppoll(&ready, 1, &timeout, 0) <= 0)
			continue;
		struct epoll_event events[EVENTS];
		int got = epoll_wait(poller, events, EVENTS, 0);
		for (int i = 0; i < got; i++)
			readable(events[i].data.ptr);
	}
	printf("refused %ld\n", refused);
	return 0;
}
