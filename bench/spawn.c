/* Measures a process for one probe, from before its spawn until it has ended and its status is read.
 *
 *     spawn ROUNDS -- LABEL PROGRAM [ARGUMENT]... -- LABEL PROGRAM ...
 *
 * Every round runs each program once, in a random order, so no program always follows the same other one. Standard input
 * and output of the child are one end of a new TCP connection over loopback. This process reads the other end to the end
 * of the reply, closes it, and waits for the child. The time to connect does not count. A program with the argument --http
 * gets an HTTP request before its spawn. The output has a line for each program:
 *
 *     LABEL <tab> median <tab> 10th and 90th percentile, in microseconds <tab> median of page faults */

#define _GNU_SOURCE
#include <netinet/in.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common.h"

enum { MAX_PROGRAMS = 16 };

static double microseconds(void) {
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e6 + time.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b) {
	double left = *(const double *)a, right = *(const double *)b;
	return (left > right) - (left < right);
}

static double percentile(double *sorted, int count, int percent) {
	return sorted[(count - 1) * percent / 100];
}

static int listener;
static struct sockaddr_in address;

static void run(char **words, double *time, double *faults) {
	/* As small as the environment of launchers, and the same for all programs. */
	static char *environment[] = {"PATH=/usr/bin:/bin", "REMOTE_HOST=127.0.0.1", "LANG=C", 0};
	char buffer[8192];
	long got, length = 0;
	int ours = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (ours < 0 || connect(ours, (void *)&address, sizeof address))
		die("connect");
	int theirs = accept4(listener, 0, 0, SOCK_CLOEXEC);
	if (theirs < 0)
		die("accept");
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, theirs, 0);
	posix_spawn_file_actions_adddup2(&actions, theirs, 1);
	pid_t child;
	struct rusage usage;
	int status;

	static const char request[] = "GET /web HTTP/1.1\r\nHost: localhost\r\nUser-Agent: check\r\n\r\n";
	for (char **word = words; *word; word++)
		if (!strcmp(*word, "--http") && write(ours, request, sizeof request - 1) < 0)
			die("write");

	double start = microseconds();
	if (posix_spawn(&child, words[0], &actions, 0, words, environment))
		die(words[0]);
	close(theirs);
	while ((got = read(ours, buffer, sizeof buffer)) > 0)
		length += got;
	close(ours);
	if (wait4(child, &status, 0, &usage) != child)
		die("wait");
	*time = microseconds() - start;

	posix_spawn_file_actions_destroy(&actions);
	*faults = usage.ru_minflt;
	if (got < 0 || !length || status) {
		fprintf(stderr, "%s: %ld bytes of reply, status %#x\n", words[0], length, status);
		exit(1);
	}
}

int main(int count, char **arguments) {
	char *labels[MAX_PROGRAMS], **programs[MAX_PROGRAMS];
	double *times[MAX_PROGRAMS], *faults[MAX_PROGRAMS];
	int many = 0, rounds = count > 1 ? atoi(arguments[1]) : 0;
	if (rounds < 1)
		return 2;
	for (int i = 2; i + 2 < count && many < MAX_PROGRAMS; i++) {
		if (strcmp(arguments[i], "--"))
			continue;
		arguments[i] = 0;
		labels[many] = arguments[i + 1];
		programs[many] = arguments + i + 2;
		times[many] = calloc(rounds, sizeof(double));
		faults[many] = calloc(rounds, sizeof(double));
		many++;
	}

	/* One core: parent and child take turns, and moving between cores would only add noise. */
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(sysconf(_SC_NPROCESSORS_ONLN) - 1, &one);
	sched_setaffinity(0, sizeof one, &one);

	socklen_t size = sizeof address;
	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (void *)&address, size) || listen(listener, 16) ||
	    getsockname(listener, (void *)&address, &size))
		die("listen");

	srandom(1);
	for (int round = -rounds / 20; round < rounds; round++) {
		int order[MAX_PROGRAMS];
		for (int i = 0; i < many; i++) {
			int j = random() % (i + 1);
			order[i] = order[j];
			order[j] = i;
		}
		for (int i = 0; i < many; i++) {
			/* The rounds before the first warm the caches. */
			int at = round < 0 ? 0 : round, which = order[i];
			run(programs[which], &times[which][at], &faults[which][at]);
		}
	}
	for (int i = 0; i < many; i++) {
		qsort(times[i], rounds, sizeof(double), by_value);
		qsort(faults[i], rounds, sizeof(double), by_value);
		printf("%s\t%.1f\t%.1f\t%.1f\t%.0f\n", labels[i], percentile(times[i], rounds, 50),
		       percentile(times[i], rounds, 10), percentile(times[i], rounds, 90),
		       percentile(faults[i], rounds, 50));
	}
}
