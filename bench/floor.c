/* The floor of a collector: only the system calls that each service needs in each second.
 *
 *     floor APPLICATIONS STATES COUNT SECONDS TURNS
 *
 * In each second, for each of COUNT services: open, read and close APPLICATIONS/appN; create, write and close a
 * temporary file in STATES, and rename it to webN.state. It spreads the services over TURNS wake-ups a second, as a
 * collector does. It prints the processor time in microseconds for each service and second, and the wake-ups. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common.h"

enum { NAME = 32, CONTENT = 64, SCHEDULE = 256 };

struct service {
	char path[NAME], state[NAME], temporary[NAME], schedule[SCHEDULE];
	size_t size;
};

static void name(struct service *service, long number) {
	snprintf(service->path, NAME, "app%ld", number);
	snprintf(service->state, NAME, "web%ld.state", number);
	snprintf(service->temporary, NAME, ".web%ld.state.new", number);
	service->size = snprintf(service->schedule, SCHEDULE,
		"agentcheck 1 web%ld\nboot 6e3f0a1c-2f0e-4a55-9a0b-0d8f3a8a4c11\nfrom 81234567890123\n"
		"until 81264567890123 up 73%% # app%ld=1890\nthen up 73%% # stale\n", number, number);
}

static void serve(int applications, int states, const struct service *service) {
	char content[CONTENT];
	int fd = openat(applications, service->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die(service->path);
	if (read(fd, content, sizeof content) < 0)
		die("read");
	close(fd);
	fd = openat(states, service->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		die(service->temporary);
	if (write(fd, service->schedule, service->size) != (ssize_t)service->size)
		die("write");
	close(fd);
	if (renameat(states, service->temporary, states, service->state))
		die("rename");
}

int main(int count, char **arguments) {
	if (count != 6) {
		fprintf(stderr, "usage: floor APPLICATIONS STATES COUNT SECONDS TURNS\n");
		return 2;
	}
	int applications = open(arguments[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
	int states = open(arguments[2], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (applications < 0 || states < 0)
		die("open");
	long services = atol(arguments[3]), seconds = atol(arguments[4]), turns = atol(arguments[5]);
	struct service *all = calloc(services, sizeof *all);
	if (!all)
		die("calloc");
	for (long number = 0; number < services; number++)
		name(&all[number], number);

	struct timespec at;
	struct rusage before, after;
	clock_gettime(CLOCK_MONOTONIC, &at);
	getrusage(RUSAGE_SELF, &before);
	for (long turn = 0; turn < seconds * turns; turn++) {
		long slot = turn % turns;
		for (long number = slot * services / turns; number < (slot + 1) * services / turns; number++)
			serve(applications, states, &all[number]);
		sleep_after(&at, 1000000000 / turns);
	}
	getrusage(RUSAGE_SELF, &after);
	double spent = processor_time(&after) - processor_time(&before);
	printf("%.3f %ld\n", spent / (services * seconds), after.ru_nvcsw - before.ru_nvcsw);
	return 0;
}
