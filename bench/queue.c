/* Queueing servers. Each has workers and a queue (first come, first served). It answers a request when a worker has spent
 * the requested time on it.
 *
 *     queue WORKERS...
 *
 * Each argument is the number of workers of one server. The first line on standard output has the servers' ports on
 * 127.0.0.1, in the same order. The servers accept HTTP/1.1 with keep-alive, and only GET:
 *
 *     /work/MICROSECONDS   the answer comes after that time in a worker. Its body is "SERVER SOJOURN LATE": the number of
 *                          the server, the planned time in the server, and the delay of the answer after the plan, both
 *                          in microseconds
 *     /metrics             the metrics of an application, as JSON. "utilization_seconds" grows by 1 a second while all
 *                          workers are busy. "in_flight_seconds" grows by the number of requests in the server, over the
 *                          number of workers
 *     /workers/N           sets the number of workers to N; running requests finish first
 *
 * Every half second, standard output gets a line for each server:
 *
 *     TIME SERVER BUSY_SECONDS ARRIVED RUNNING QUEUED WORKERS     (time of CLOCK_MONOTONIC)
 *
 * A worker does no work: it only has the time at which its request ends. The next request begins at the planned end of the
 * previous one, not when this process notices that end. So a busy machine delays answers, but reduces no capacity. The
 * program has one thread. A request leaves the queue when its client closes. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common.h"

enum { MAX_SERVERS = 128, MAX_WORKERS = 64, REQUEST = 1024, EVENTS = 256 };

struct client {
	int fd, server, length, closed;
	enum { READING, QUEUED, RUNNING } state;
	double arrived, demand;
	struct client *next;
	char request[REQUEST];
};

struct server {
	int listener, workers, running, queued;
	/* The time up to which the sums below count. */
	double at;
	double busy_seconds, utilization_seconds, in_flight_seconds;
	long arrived, served;
	struct client *first, **end;
	struct {
		struct client *client;
		double due;
	} worker[MAX_WORKERS];
};

static struct server servers[MAX_SERVERS];
static int count, poller;

/* Updates the sums of the server up to `now`. */
static void update_sums(struct server *server, double now) {
	double passed = now - server->at;
	if (passed <= 0)
		return;
	server->at = now;
	server->busy_seconds += passed * server->running;
	server->utilization_seconds += passed * server->running / server->workers;
	server->in_flight_seconds += passed * (server->running + server->queued) / server->workers;
}

static void answer(struct client *client, const char *body) {
	char text[512];
	int length = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
	/* It always fits: it is small, and the socket's buffer is empty. */
	if (send(client->fd, text, length, MSG_NOSIGNAL) != length)
		client->closed = 1;
	client->length = 0;
	client->state = READING;
}

static void forget(struct client *client) {
	close(client->fd);
	free(client);
}

/* Gives waiting requests to the free workers, from the time `now`. */
static void begin(struct server *server, double now) {
	for (int slot = 0; slot < MAX_WORKERS && server->queued && server->running < server->workers; slot++) {
		if (server->worker[slot].client)
			continue;
		struct client *client = server->first;
		if (!(server->first = client->next))
			server->end = &server->first;
		server->queued--;
		server->running++;
		client->state = RUNNING;
		server->worker[slot].client = client;
		server->worker[slot].due = now + client->demand;
	}
}

/* The worker that finishes first, or -1 if none is busy. */
static int earliest(struct server *server) {
	int found = -1;
	for (int slot = 0; slot < MAX_WORKERS; slot++)
		if (server->worker[slot].client && (found < 0 || server->worker[slot].due < server->worker[found].due))
			found = slot;
	return found;
}

/* Finishes the requests that are due, in their order. Returns the time of the next one, or 0. */
static double advance(struct server *server) {
	for (;;) {
		int slot = server->running ? earliest(server) : -1;
		double now = seconds();
		if (slot < 0 || server->worker[slot].due > now) {
			update_sums(server, now);
			return slot < 0 ? 0 : server->worker[slot].due;
		}
		double due = server->worker[slot].due;
		struct client *client = server->worker[slot].client;
		server->worker[slot].client = 0;
		update_sums(server, due);
		server->running--;
		server->served++;
		begin(server, due);
		if (client->closed) {
			forget(client);
			continue;
		}
		char body[80];
		snprintf(body, sizeof body, "%d %.0f %.0f", client->server, (due - client->arrived) * 1e6,
		         (now - due) * 1e6);
		answer(client, body);
	}
}

static void handle(struct client *client) {
	struct server *server = &servers[client->server];
	char *path = client->request;
	advance(server);
	if (!strncmp(path, "GET /work/", 10)) {
		client->demand = atof(path + 10) / 1e6;
		client->arrived = server->at;
		client->state = QUEUED;
		client->next = 0;
		*server->end = client;
		server->end = &client->next;
		server->queued++;
		server->arrived++;
		begin(server, server->at);
		return;
	}
	if (!strncmp(path, "GET /workers/", 13)) {
		int workers = atoi(path + 13);
		if (workers >= 1 && workers <= MAX_WORKERS)
			server->workers = workers;
		begin(server, server->at);
	}
	char body[400];
	snprintf(body, sizeof body,
	         "{\"arrived\": %ld, \"served\": %ld, \"errors\": 0, \"busy_seconds\": %.6f, "
	         "\"utilization_seconds\": %.6f, \"in_flight_seconds\": %.6f, \"running\": %d, \"queued\": %d, "
	         "\"workers\": %d}\n",
	         server->arrived, server->served, server->busy_seconds,
	         server->utilization_seconds, server->in_flight_seconds, server->running, server->queued, server->workers);
	answer(client, body);
}

/* Handles the end of a client's connection. */
static void disconnect(struct client *client) {
	struct server *server = &servers[client->server];
	advance(server);
	if (client->state == RUNNING) {
		/* The worker finishes first. */
		client->closed = 1;
		epoll_ctl(poller, EPOLL_CTL_DEL, client->fd, 0);
		return;
	}
	if (client->state == QUEUED) {
		struct client **link = &server->first;
		while (*link != client)
			link = &(*link)->next;
		if (!(*link = client->next))
			server->end = link;
		server->queued--;
	}
	forget(client);
}

static void readable(struct client *client) {
	char *free_part = client->request + client->length;
	ssize_t got = recv(client->fd, free_part, REQUEST - 1 - client->length, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* A client may send one request at a time. */
	if (got <= 0 || client->state != READING) {
		disconnect(client);
		return;
	}
	client->length += got;
	client->request[client->length] = 0;
	if (strstr(client->request, "\r\n\r\n"))
		handle(client);
	else if (client->length == REQUEST - 1)
		disconnect(client);
}

static void enter(int number) {
	int fd;
	while ((fd = accept4(servers[number].listener, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		int yes = 1;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
		struct client *client = calloc(1, sizeof *client);
		if (!client)
			die("calloc");
		client->fd = fd;
		client->server = number;
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
		if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event))
			die("epoll_ctl");
	}
}

static void start(int number, int workers) {
	struct server *server = &servers[number];
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof address;
	if (workers < 1 || workers > MAX_WORKERS) {
		fprintf(stderr, "1 to %d workers\n", MAX_WORKERS);
		exit(2);
	}
	server->workers = workers;
	server->end = &server->first;
	server->at = seconds();
	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = server};
	if (server->listener < 0 || bind(server->listener, (void *)&address, length) ||
	    listen(server->listener, 4096) || getsockname(server->listener, (void *)&address, &length) ||
	    epoll_ctl(poller, EPOLL_CTL_ADD, server->listener, &event))
		die("listen");
	printf("%d ", ntohs(address.sin_port));
}

static void log_all(double now) {
	for (int number = 0; number < count; number++) {
		struct server *server = &servers[number];
		printf("%.3f %d %.4f %ld %d %d %d\n", now, number, server->busy_seconds, server->arrived,
		       server->running, server->queued, server->workers);
	}
	fflush(stdout);
}

int main(int argc, char **argv) {
	if (argc < 2 || argc - 1 > MAX_SERVERS) {
		fprintf(stderr, "usage: queue WORKERS...\n");
		return 2;
	}
	/* A large buffer: output ends with a whole line also when a signal ends the program. */
	setvbuf(stdout, 0, _IOFBF, 1 << 16);
	poller = epoll_create1(EPOLL_CLOEXEC);
	for (; count < argc - 1; count++)
		start(count, atoi(argv[count + 1]));
	printf("\n");
	fflush(stdout);
	double next_log = seconds() + 0.5;
	for (;;) {
		double next = next_log;
		for (int number = 0; number < count; number++) {
			double due = advance(&servers[number]);
			if (due && due < next)
				next = due;
		}
		double now = seconds();
		if (now >= next_log) {
			log_all(now);
			next_log += 0.5;
			continue;
		}
		/* ppoll, because the timeout of epoll_wait has whole milliseconds. */
		double wait = next > now ? next - now : 0;
		struct timespec timeout = {.tv_sec = wait, .tv_nsec = (wait - (long)wait) * 1e9};
		struct pollfd ready = {.fd = poller, .events = POLLIN};
		if (ppoll(&ready, 1, &timeout, 0) <= 0)
			continue;
		struct epoll_event events[EVENTS];
		int got = epoll_wait(poller, events, EVENTS, 0);
		for (int i = 0; i < got; i++) {
			struct server *server = events[i].data.ptr;
			if (server >= servers && server < servers + count)
				enter(server - servers);
			else
				readable(events[i].data.ptr);
		}
	}
}
