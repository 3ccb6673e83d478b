/* The bar for the one-shot responder: the smallest C program that does the same for a connection on standard input.
 *
 *     reference NAME DIRECTORY
 *
 * It reads DIRECTORY/NAME.state, checks every byte of it (agentcheck.state(5)), and compares the boot id. It selects the
 * reply by the clock, sends it, shuts down its sending side, and discards the bytes that the client still sends. Not here:
 * other ways of being started, --name-from-client, and no-op replies.
 *
 * run.py compiles it twice: freestanding (-ffreestanding -nostdlib), with its own _start and system calls, and hosted, with
 * the C library. It closes no descriptor, because the exit closes all of them. */

enum { MAX_FILE = 4096, MAX_LINE = 500, MAX_NAME = 64, BOOT_ID = 36, DRAIN_BYTES = 65536 };
enum { DRAIN_NANOSECONDS = 1000000000 };

#if __STDC_HOSTED__

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int failed_with_eagain(long result) {
	return result < 0 && (errno == EAGAIN || errno == EINTR);
}

#else

#include <asm/fcntl.h>
#include <asm/poll.h>
#include <asm/stat.h>
#include <asm/unistd.h>
#include <linux/time.h>

enum { MSG_DONTWAIT = 0x40, MSG_NOSIGNAL = 0x4000, SHUT_WR = 1, AT_FDCWD = -100 };

static inline long call(long number, long a, long b, long c, long d, long e, long f) {
#if defined __x86_64__
	long result;
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	__asm__ volatile("syscall"
	                 : "=a"(result)
	                 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
	                 : "rcx", "r11", "memory");
	return result;
#elif defined __aarch64__
	register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c, x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
	__asm__ volatile("svc 0"
	                 : "+r"(x0)
	                 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
	                 : "memory");
	return x0;
#else
#error "the system calls of x86_64 and aarch64 are known here"
#endif
}

#define open(path, flags) call(__NR_openat, AT_FDCWD, (long)(path), flags, 0, 0, 0)
#define fstat(file, status) call(__NR_fstat, file, (long)(status), 0, 0, 0, 0)
#define read(file, to, room) call(__NR_read, file, (long)(to), room, 0, 0, 0)
#define clock_gettime(clock, to) call(__NR_clock_gettime, clock, (long)(to), 0, 0, 0, 0)
#define send(to, from, count, flags) call(__NR_sendto, to, (long)(from), count, flags, 0, 0)
#define recv(from, to, room, flags) call(__NR_recvfrom, from, (long)(to), room, flags, 0, 0)
#define shutdown(socket, how) call(__NR_shutdown, socket, how, 0, 0, 0, 0)
#define ppoll(set, count, timeout, mask) call(__NR_ppoll, (long)(set), count, (long)(timeout), 0, 0, 0)
#define timespec __kernel_timespec
#define S_ISREG(mode) (((mode) & 0170000) == 0100000)

static int failed_with_eagain(long result) { return result == -11 || result == -4; }

#endif

typedef unsigned long long moment;

/* A piece of the file. */
struct text {
	const char *at, *end;
};

static int is_digit(char c) { return c >= '0' && c <= '9'; }
static int is_separator(char c) { return c == ' ' || c == '\t' || c == ','; }

static char lower(char c) { return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c; }

/* Removes `word` from the beginning of the text. Returns 0 if the text begins otherwise. */
static int skip(struct text *text, const char *word) {
	const char *at = text->at;
	for (; *word; word++, at++)
		if (at == text->end || *at != *word)
			return 0;
	text->at = at;
	return 1;
}

/* Whether the text is `word`, in upper or lower case. */
static int is_word(struct text text, const char *word) {
	for (; *word && text.at < text.end; word++, text.at++)
		if (lower(*text.at) != *word)
			return 0;
	return !*word && text.at == text.end;
}

/* Removes the first line from the text. Returns 0 if the text has no newline. */
static int next_line(struct text *text, struct text *line) {
	for (const char *at = text->at; at < text->end; at++)
		if (*at == '\n') {
			*line = (struct text){text->at, at};
			text->at = at + 1;
			return 1;
		}
	return 0;
}

/* Parses the whole text as decimal digits. Returns 0 if it is something else, or larger than `limit`. */
static int number(struct text digits, moment limit, moment *value) {
	*value = 0;
	if (digits.at == digits.end)
		return 0;
	for (; digits.at < digits.end; digits.at++) {
		moment digit = (moment)(*digits.at - '0');
		if (!is_digit(*digits.at) || *value > (limit - digit) / 10)
			return 0;
		*value = *value * 10 + digit;
	}
	return 1;
}

static int is_time(struct text digits, moment *value) {
	if (digits.end - digits.at > 1 && *digits.at == '0')
		return 0;
	return number(digits, ~0ULL, value);
}

static int is_name(struct text text) {
	if (text.at == text.end || text.end - text.at > MAX_NAME)
		return 0;
	for (const char *at = text.at; at < text.end; at++) {
		char c = lower(*at);
		int letter = is_digit(c) || (c >= 'a' && c <= 'z');
		if (!letter && (at == text.at || (c != '.' && c != '_' && c != '-')))
			return 0;
	}
	return 1;
}

static int is_reply_word(struct text word) {
	static const char known[7][8] = {"up", "down", "stopped", "fail", "ready", "drain", "maint"};
	moment value;
	for (int i = 0; i < 7; i++)
		if (is_word(word, known[i]))
			return 1;
	if (word.end[-1] == '%')
		return number((struct text){word.at, word.end - 1}, 25600, &value);
	return word.end - word.at > 8 && is_word((struct text){word.at, word.at + 8}, "maxconn:") &&
	       number((struct text){word.at + 8, word.end}, 0x7fffffff, &value);
}

static int is_reply(struct text line) {
	int words = 0;
	if (line.end - line.at >= MAX_LINE)
		return 0;
	for (;; words++) {
		while (line.at < line.end && is_separator(*line.at))
			line.at++;
		if (line.at == line.end)
			return words > 0;
		if (*line.at == '#')
			break;
		struct text word = {line.at, line.at};
		while (word.end < line.end && !is_separator(*word.end))
			word.end++;
		if (!is_reply_word(word))
			return 0;
		line.at = word.end;
	}
	line.at++;
	while (line.at < line.end && (*line.at == ' ' || *line.at == '\t'))
		line.at++;
	while (line.at < line.end && line.end[-1] == ' ')
		line.end--;
	if (line.end - line.at > 100)
		return 0;
	for (; line.at < line.end; line.at++)
		if (*line.at < ' ' || *line.at > '~')
			return 0;
	return words > 0;
}

/* Finds the reply of the first stage that has not expired, or of the last line, with its newline. */
static int pick(struct text file, const char *name, const char *boot, moment now, struct text *picked) {
	struct text line;
	moment from, last, until;
	if (!next_line(&file, &line) || !skip(&line, "agentcheck 1 ") || !is_name(line))
		return 0;
	if (!skip(&line, name) || line.at != line.end)
		return 0;
	if (!next_line(&file, &line) || !skip(&line, "boot ") || line.end - line.at != BOOT_ID)
		return 0;
	for (int i = 0; i < BOOT_ID; i++)
		if (line.at[i] != boot[i])
			return 0;
	if (!next_line(&file, &line) || !skip(&line, "from ") || !is_time(line, &from) || now < from)
		return 0;
	picked->at = 0;
	for (last = from;; last = until) {
		if (!next_line(&file, &line))
			return 0;
		if (skip(&line, "then "))
			break;
		if (!skip(&line, "until "))
			return 0;
		struct text digits = {line.at, line.at};
		while (digits.end < line.end && *digits.end != ' ')
			digits.end++;
		if (digits.end == line.end || !is_time(digits, &until) || until <= last)
			return 0;
		line.at = digits.end + 1;
		if (!is_reply(line))
			return 0;
		if (now < until && !picked->at)
			*picked = (struct text){line.at, line.end + 1};
	}
	if (!is_reply(line) || file.at != file.end)
		return 0;
	if (!picked->at)
		*picked = (struct text){line.at, line.end + 1};
	return 1;
}

static moment now(void) {
	struct timespec time;
	clock_gettime(7 /* CLOCK_BOOTTIME */, &time);
	return (moment)time.tv_sec * 1000000000 + (moment)time.tv_nsec;
}

/* Discards what the client sends until it closes, within bounds. */
static void drain(char *buffer) {
	moment deadline = 0;
	for (long drained = 0; drained < DRAIN_BYTES;) {
		long count = recv(0, buffer, MAX_FILE + 1, MSG_DONTWAIT);
		if (count > 0) {
			drained += count;
			continue;
		}
		if (!failed_with_eagain(count))
			return;
		moment at = now();
		if (!deadline)
			deadline = at + DRAIN_NANOSECONDS;
		if (at >= deadline)
			return;
		struct pollfd set = {.fd = 0, .events = POLLIN};
		struct timespec wait = {.tv_sec = (deadline - at) / 1000000000,
		                        .tv_nsec = (deadline - at) % 1000000000};
		ppoll(&set, 1, &wait, 0);
	}
}

static int answer(int count, char **arguments) {
	enum { FLAGS = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC };
	char path[1024], buffer[MAX_FILE + 1], boot[BOOT_ID + 2];
	struct stat status;
	struct text picked;
	char *end = path;
	if (count < 3)
		return 2;
	const char *parts[] = {arguments[2], "/", arguments[1], ".state"};
	for (int i = 0; i < 4; i++)
		for (const char *at = parts[i]; *at; at++) {
			if (end == path + sizeof path - 1)
				return 2;
			*end++ = *at;
		}
	*end = 0;
	long file = open(path, FLAGS);
	if (file < 0 || fstat(file, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size > MAX_FILE)
		return 1;
	long length = 0;
	for (long got; length <= MAX_FILE; length += got) {
		got = read(file, buffer + length, sizeof buffer - length);
		if (got < 0)
			return 1;
		if (!got || length + got >= status.st_size) {
			length += got;
			break;
		}
	}
	file = open("/proc/sys/kernel/random/boot_id", FLAGS);
	if (length > MAX_FILE || file < 0 || read(file, boot, sizeof boot) != BOOT_ID + 1)
		return 1;
	if (!pick((struct text){buffer, buffer + length}, arguments[1], boot, now(), &picked))
		return 1;
	send(0, picked.at, picked.end - picked.at, MSG_DONTWAIT | MSG_NOSIGNAL);
	shutdown(0, SHUT_WR);
	drain(buffer);
	return 0;
}

#if __STDC_HOSTED__

int main(int count, char **arguments) { return answer(count, arguments); }

#else

__attribute__((noreturn, used)) static void entry(long *stack) {
	long status = answer((int)stack[0], (char **)(stack + 1));
	for (;;)
		call(__NR_exit_group, status, 0, 0, 0, 0, 0);
}

#if defined __x86_64__
__asm__(".globl _start\n_start: xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call entry\n");
#else
__asm__(".globl _start\n_start: mov x29, xzr\n mov x30, xzr\n mov x0, sp\n bl entry\n");
#endif

#endif
