/* Long-lived connections: the clients that open them, and the backends that serve them, in one process.
 *
 *     connections SEED PER_UNIT DIRECTORY
 *
 * 20 backends of capacity 1, 2 and 4 listen on 127.0.0.1. The first line on standard output has their ports, the
 * second their capacities. The last three backends join later. Standard input then has one line with the ports of
 * the balancers. Each client opens a connection to a random balancer, sends its number, and closes after an
 * exponential lifetime. Each client has a message rate from a capped Pareto distribution. No message is sent:
 * a backend's load is the sum of the rates of its open connections, so the program needs little processor time.
 * If a backend closes a connection early, its client connects again and keeps its rate and end.
 *
 * The clients need 70% of the capacity of the first 17 backends. PER_UNIT clients are open on average for each unit
 * of capacity. All random numbers of the clients follow from SEED, so every policy gets the same clients.
 *
 * Each backend that runs writes DIRECTORY/NUMBER.json every 0.1 s:
 *     msg-per-second   messages that it served, mean of that time
 *     utilization      served messages over capacity, at most 1
 * Standard output gets a line every 0.1 s: time since the first client, offered and rejected messages so far,
 * early ends so far, and for each backend its load over its capacity, or - while it is down. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
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

enum { BACKENDS = 20, FIRST = 17, BALANCERS = 8, MOST = 100000, EVENTS = 256, RESTARTS = 5 };

/* Seconds. All times are a tenth of the real ones: a lifetime of 160 s takes 16 s here. */
static const double LIFETIME = 16, LOAD = 0.7, FILL = 10, TICK = 0.1;
static const double GROWTH = 56, DEPLOY = 80, BETWEEN_RESTARTS = 3.2, RESTART = 0.8, END = 102, PAUSE = 0.1;
static const double ALPHA = 1.6, CAP = 50, UNIT = 1000;
static const int CAPACITY[BACKENDS] = {1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 1, 2, 4};
static const int RESTARTED[RESTARTS] = {0, 3, 8, 12, 16};

enum kind { LISTENER, SERVED, CLIENT };

struct end {
	enum kind kind;
	int fd, backend, number;
	struct end *next, *previous;
};

struct client {
	double rate, ends, begins;
	int balancer, sent;
	struct end end;
};

static struct {
	struct end listener, served;
	int port, up;
	double load, at, offered, rejected, tick_served;
} backends[BACKENDS];
static struct client *clients;
static int used, poller, balancers[BALANCERS];
static long early;
static const char *directory;
static unsigned long long state;

static double exponential(double mean) {
	return -mean * log(uniform(&state));
}

static double pareto(void) {
	double rate = pow(uniform(&state), -1 / ALPHA);
	return rate < CAP ? rate : CAP;
}

/* The mean of the capped Pareto distribution. */
static double pareto_mean(void) {
	double below = ALPHA / (ALPHA - 1) * (1 - pow(CAP, 1 - ALPHA));
	return below + CAP * pow(CAP, -ALPHA);
}

/* Adds up a backend's messages until `now`. */
static void advance(int number, double now) {
	double passed = now - backends[number].at, load = backends[number].load, most = CAPACITY[number] * UNIT;
	backends[number].at = now;
	if (passed <= 0)
		return;
	double over = load > most ? load - most : 0;
	backends[number].offered += load * passed;
	backends[number].rejected += over * passed;
	backends[number].tick_served += (load - over) * passed;
}

static void watch(struct end *end, unsigned events, int how) {
	struct epoll_event event = {.events = events, .data.ptr = end};
	if (epoll_ctl(poller, how, end->fd, &event))
		die("epoll_ctl");
}

static int new_socket(void) {
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket");
	return fd;
}

static struct sockaddr_in address_of(int port) {
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

/* Backends. */

static void bind_backend(int number) {
	struct end *listener = &backends[number].listener;
	struct sockaddr_in address = address_of(backends[number].port);
	socklen_t length = sizeof address;
	int yes = 1;
	listener->kind = LISTENER;
	listener->backend = number;
	listener->fd = new_socket();
	setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	if (bind(listener->fd, (void *)&address, length) || getsockname(listener->fd, (void *)&address, &length))
		die("bind");
	backends[number].port = ntohs(address.sin_port);
}

/* A bound socket that does not listen refuses connections, and keeps its port. */
static void start(int number, double now) {
	if (listen(backends[number].listener.fd, 4096))
		die("listen");
	watch(&backends[number].listener, EPOLLIN, EPOLL_CTL_ADD);
	backends[number].up = 1;
	backends[number].at = now;
	backends[number].tick_served = 0;
}

static void forget(struct end *end, double now) {
	int number = end->backend;
	advance(number, now);
	if (end->number >= 0)
		backends[number].load -= clients[end->number].rate;
	end->previous->next = end->next;
	if (end->next)
		end->next->previous = end->previous;
	close(end->fd);
	free(end);
}

static void stop(int number, double now) {
	char path[512];
	close(backends[number].listener.fd);
	while (backends[number].served.next)
		forget(backends[number].served.next, now);
	backends[number].load = 0;
	backends[number].up = 0;
	bind_backend(number);
	snprintf(path, sizeof path, "%s/%d.json", directory, number);
	unlink(path);
}

static void enter(int number) {
	int fd;
	while (backends[number].up && (fd = accept4(backends[number].listener.fd, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct end *end = calloc(1, sizeof *end);
		if (!end)
			die("calloc");
		*end = (struct end){.kind = SERVED, .fd = fd, .backend = number, .number = -1};
		end->previous = &backends[number].served;
		if ((end->next = end->previous->next))
			end->next->previous = end;
		end->previous->next = end;
		watch(end, EPOLLIN | EPOLLRDHUP, EPOLL_CTL_ADD);
	}
}

/* Reads a client's number, or the end of a connection. A health check sends no number. */
static void read_number(struct end *end, double now) {
	int number;
	ssize_t got = recv(end->fd, &number, sizeof number, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got != sizeof number || end->number >= 0 || number < 0 || number >= used) {
		forget(end, now);
		return;
	}
	advance(end->backend, now);
	end->number = number;
	backends[end->backend].load += clients[number].rate;
}

/* Clients. The heap contains those that have a next action, in the order of its time. */

static int heap[MOST], heap_length;

static double due(int number) {
	struct client *client = &clients[number];
	return client->end.fd < 0 ? client->begins : client->ends;
}

static void sift(int at) {
	for (;;) {
		int least = at, left = 2 * at + 1, right = left + 1, parent = (at - 1) / 2;
		if (at && due(heap[at]) < due(heap[parent]))
			least = parent;
		else {
			if (left < heap_length && due(heap[left]) < due(heap[least]))
				least = left;
			if (right < heap_length && due(heap[right]) < due(heap[least]))
				least = right;
		}
		if (least == at)
			return;
		int other = heap[least];
		heap[least] = heap[at];
		heap[at] = other;
		at = least;
	}
}

static void sift_all(void) {
	for (int at = heap_length / 2; at >= 0; at--)
		sift(at);
}

static void connect_client(int number) {
	struct client *client = &clients[number];
	struct sockaddr_in address = address_of(balancers[client->balancer]);
	int yes = 1;
	client->end.fd = new_socket();
	client->sent = 0;
	setsockopt(client->end.fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	if (connect(client->end.fd, (void *)&address, sizeof address) && errno != EINPROGRESS)
		die("connect");
	watch(&client->end, EPOLLOUT | EPOLLIN, EPOLL_CTL_ADD);
}

static void client_ready(struct end *end, unsigned events, double now) {
	struct client *client = &clients[end->number];
	char byte;
	if (!client->sent && (events & EPOLLOUT) && !(events & (EPOLLERR | EPOLLHUP))) {
		if (send(end->fd, &end->number, sizeof end->number, MSG_NOSIGNAL) == sizeof end->number)
			client->sent = 1;
		watch(end, EPOLLIN, EPOLL_CTL_MOD);
		return;
	}
	if (recv(end->fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN)
		return;
	/* The backend or the balancer closed. */
	early++;
	close(end->fd);
	end->fd = -1;
	client->begins = now + PAUSE * (end->number % 64) / 64;
	sift_all();
}

static void act(double now) {
	while (heap_length && due(heap[0]) <= now) {
		struct client *client = &clients[heap[0]];
		if (client->end.fd < 0 && client->ends > now)
			connect_client(heap[0]);
		else {
			if (client->end.fd >= 0)
				close(client->end.fd);
			client->end.fd = -1;
			heap[0] = heap[--heap_length];
		}
		sift(0);
	}
}

/* Plans all clients in advance. */
static void plan(int per_unit) {
	int units = 0;
	for (int number = 0; number < FIRST; number++)
		units += CAPACITY[number];
	double open = per_unit * units, rate = LOAD * units * UNIT / (open * pareto_mean()), at = 0;
	while (at < END && used < MOST) {
		at += exponential(at < FILL ? FILL * 0.744 / open : LIFETIME / open);
		struct client *client = &clients[used];
		*client = (struct client){.rate = rate * pareto(), .begins = at, .ends = at + exponential(LIFETIME)};
		client->balancer = uniform(&state) * BALANCERS;
		client->end = (struct end){.kind = CLIENT, .fd = -1, .number = used};
		heap[heap_length++] = used++;
	}
	sift_all();
}

static void log_all(double now) {
	char path[512], temporary[520], line[1024];
	double offered = 0, rejected = 0;
	int length = 0;
	for (int number = 0; number < BACKENDS; number++) {
		advance(number, now);
		offered += backends[number].offered;
		rejected += backends[number].rejected;
		double load = backends[number].load / (CAPACITY[number] * UNIT);
		double served = backends[number].tick_served / TICK;
		backends[number].tick_served = 0;
		length += backends[number].up ? snprintf(line + length, sizeof line - length, " %.4f", load)
		                              : snprintf(line + length, sizeof line - length, " -");
		if (!backends[number].up)
			continue;
		snprintf(path, sizeof path, "%s/%d.json", directory, number);
		snprintf(temporary, sizeof temporary, "%s.new", path);
		FILE *file = fopen(temporary, "w");
		if (!file)
			die(temporary);
		double utilization = served / (CAPACITY[number] * UNIT);
		fprintf(file, "{\"msg-per-second\": %.3f, \"utilization\": %.5f}\n", served, utilization < 1 ? utilization : 1);
		if (fclose(file) || rename(temporary, path))
			die(path);
	}
	printf("%.2f %.0f %.0f %ld%s\n", now, offered, rejected, early, line);
	fflush(stdout);
}

int main(int argc, char **argv) {
	if (argc != 4) {
		fprintf(stderr, "usage: connections SEED PER_UNIT DIRECTORY\n");
		return 2;
	}
	state = strtoull(argv[1], 0, 10);
	directory = argv[3];
	clients = calloc(MOST, sizeof *clients);
	poller = epoll_create1(EPOLL_CLOEXEC);
	if (!clients || poller < 0)
		die("start");
	plan(atoi(argv[2]));
	for (int number = 0; number < BACKENDS; number++) {
		bind_backend(number);
		if (number < FIRST)
			start(number, 0);
		printf("%d%s", backends[number].port, number < BACKENDS - 1 ? " " : "\n");
	}
	for (int number = 0; number < BACKENDS; number++)
		printf("%d%s", CAPACITY[number], number < BACKENDS - 1 ? " " : "\n");
	fflush(stdout);
	log_all(0);
	for (int number = 0; number < BALANCERS; number++)
		if (scanf("%d", &balancers[number]) != 1)
			return 2;
	double began = seconds(), next_log = TICK, next_step = GROWTH;
	for (int number = 0, step = 0; next_log < END;) {
		double now = seconds() - began;
		if (now >= next_log) {
			log_all(now);
			next_log += TICK;
		}
		if (now >= next_step) {
			if (step == 0) {
				for (number = FIRST; number < BACKENDS; number++)
					start(number, now);
			} else if (step % 2)
				stop(RESTARTED[(step - 1) / 2], now);
			else
				start(RESTARTED[(step - 1) / 2], now);
			step++;
			next_step = DEPLOY + (step - 1) / 2 * BETWEEN_RESTARTS + (step % 2 ? 0 : RESTART);
			if (step > 2 * RESTARTS)
				next_step = 2 * END;
		}
		act(now);
		double next = next_log < next_step ? next_log : next_step;
		if (heap_length && due(heap[0]) < next)
			next = due(heap[0]);
		double wait = began + next - seconds();
		struct timespec timeout = {0, wait > 0 ? wait * 1e9 : 0};
		struct pollfd ready = {.fd = poller, .events = POLLIN};
		if (ppoll(&ready, 1, &timeout, 0) <= 0)
			continue;
		struct epoll_event events[EVENTS];
		int got = epoll_wait(poller, events, EVENTS, 0);
		now = seconds() - began;
		for (int i = 0; i < got; i++) {
			struct end *end = events[i].data.ptr;
			if (end->kind == LISTENER)
				enter(end->backend);
			else if (end->kind == SERVED)
				read_number(end, now);
			else
				client_ready(end, events[i].events, now);
		}
	}
	return 0;
}
