/* The floor of an HTTP poll: connect, request, read to the end, close.
 *
 *     poll HOST PORT COUNT SECONDS
 *
 * In each second it polls COUNT times, evenly spread, and asks the server to close the connection. It prints the
 * processor time in microseconds for each poll, and the polls without a complete response. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common.h"

static const char request[] = "GET /load HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: */*\r\nconnection: close\r\n\r\n";

static int poll_once(const struct sockaddr_in *server) {
	char response[4096];
	ssize_t length, whole = 0;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	if (connect(fd, (const struct sockaddr *)server, sizeof *server)
		|| write(fd, request, sizeof request - 1) != sizeof request - 1) {
		close(fd);
		return 0;
	}
	while ((length = read(fd, response + whole, sizeof response - whole)) > 0)
		whole += length;
	close(fd);
	return length == 0 && whole > 12 && !memcmp(response, "HTTP/1.1 200", 12);
}

int main(int count, char **arguments) {
	if (count != 5) {
		fprintf(stderr, "usage: poll HOST PORT COUNT SECONDS\n");
		return 2;
	}
	struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(atoi(arguments[2]))};
	if (inet_pton(AF_INET, arguments[1], &server.sin_addr) != 1)
		return 2;
	long each = atol(arguments[3]), polls = each * atol(arguments[4]), failed = 0;
	struct timespec at;
	struct rusage before, after;
	clock_gettime(CLOCK_MONOTONIC, &at);
	getrusage(RUSAGE_SELF, &before);
	for (long poll = 0; poll < polls; poll++) {
		failed += !poll_once(&server);
		sleep_after(&at, 1000000000 / each);
	}
	getrusage(RUSAGE_SELF, &after);
	printf("%.3f %ld\n", (processor_time(&after) - processor_time(&before)) / polls, failed);
	return 0;
}
