/* The floor: what this machine's kernel takes for one send() a delivery, with next to nothing around it.
 *
 * GET /sse?topic=T   an SSE response; HTTP/1.1 chunks as the gateway writes them
 * GET /health        200
 * POST /publish      header x-sse-topic; 200 with subscribers, 204 without
 *
 * One thread, epoll, no checks beyond what the load generator needs: a measure, not a server. Linux only.
 *
 * Usage: floor PORT (of 127.0.0.1)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_HEAD = 16 * 1024, BUCKETS = 16384, EVENTS = 512, FRAME_EXTRA = 512 };

struct topic;

struct connection {
	int fd;
	struct topic *topic; /* NULL: a publisher or not asked yet */
	size_t member;       /* its place among the topic's members */
	char *in;            /* a request that is not complete */
	size_t in_used, in_size;
	char *out;           /* what the socket has not taken */
	size_t out_used, out_sent, out_size;
};

struct topic {
	struct topic *next;
	struct connection **members;
	size_t count, size;
	size_t name_length;
	char name[];
};

static struct topic *topics[BUCKETS];
static int epoll_fd;
static char input[256 * 1024];
static char *frame;
static size_t frame_size;

static void fail(const char *what) {
	perror(what);
	exit(1);
}

static void *grow(void *memory, size_t size) {
	void *grown = realloc(memory, size);
	if (!grown) fail("realloc");
	return grown;
}

static struct topic *find_topic(const char *name, size_t length, int make) {
	uint32_t hash = 2166136261u;
	for (size_t i = 0; i < length; i++) hash = (hash ^ (unsigned char)name[i]) * 16777619u;
	struct topic **place = &topics[hash % BUCKETS];
	for (; *place; place = &(*place)->next)
		if ((*place)->name_length == length && !memcmp((*place)->name, name, length)) return *place;
	if (!make) return NULL;
	struct topic *topic = calloc(1, sizeof *topic + length);
	if (!topic) fail("calloc");
	memcpy(topic->name, name, length);
	topic->name_length = length;
	return *place = topic;
}

static void join_topic(struct connection *c, struct topic *topic) {
	if (topic->count == topic->size) {
		topic->size = topic->size ? topic->size * 2 : 4;
		topic->members = grow(topic->members, topic->size * sizeof *topic->members);
	}
	c->topic = topic;
	c->member = topic->count;
	topic->members[topic->count++] = c;
}

static void watch(struct connection *c, uint32_t events, int how) {
	struct epoll_event event = {.events = events | EPOLLRDHUP, .data.ptr = c};
	if (epoll_ctl(epoll_fd, how, c->fd, &event)) fail("epoll_ctl");
}

/* Sends, and keeps what the socket does not take. A failed connection is found by its next event. */
static void put(struct connection *c, const char *data, size_t size) {
	if (c->out_used == 0) {
		ssize_t sent = send(c->fd, data, size, MSG_NOSIGNAL);
		if (sent == (ssize_t)size) return;
		if (sent < 0) {
			if (errno != EAGAIN) return;
			sent = 0;
		}
		data += sent;
		size -= (size_t)sent;
		watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
	}
	if (c->out_used + size > c->out_size) {
		c->out_size = (c->out_used + size) * 2;
		c->out = grow(c->out, c->out_size);
	}
	memcpy(c->out + c->out_used, data, size);
	c->out_used += size;
}

static void flush(struct connection *c) {
	while (c->out_sent < c->out_used) {
		ssize_t sent = send(c->fd, c->out + c->out_sent, c->out_used - c->out_sent, MSG_NOSIGNAL);
		if (sent < 0) return;
		c->out_sent += (size_t)sent;
	}
	c->out_used = c->out_sent = 0;
	watch(c, EPOLLIN, EPOLL_CTL_MOD);
}

static void end(struct connection *c) {
	if (c->topic) {
		struct connection *last = c->topic->members[--c->topic->count];
		c->topic->members[c->member] = last;
		last->member = c->member;
	}
	close(c->fd);
	free(c->in);
	free(c->out);
	free(c);
}

static void put_text(struct connection *c, const char *text) {
	put(c, text, strlen(text));
}

static const char *header(const char *head, const char *end, const char *name, size_t *length) {
	size_t name_length = strlen(name);
	for (const char *line = head; line < end;) {
		const char *next = memmem(line, (size_t)(end - line) + 2, "\r\n", 2);
		if (!next) break;
		if ((size_t)(next - line) > name_length && line[name_length] == ':' && !strncasecmp(line, name, name_length)) {
			const char *value = line + name_length + 1;
			while (value < next && *value == ' ') value++;
			*length = (size_t)(next - value);
			return value;
		}
		line = next + 2;
	}
	return NULL;
}

/* One frame for all subscribers, then one send() each. */
static void publish(struct connection *c, const char *head, const char *head_end, const char *body, size_t size) {
	size_t length = 0, id_length = 0;
	const char *name = header(head, head_end, "x-sse-topic", &length);
	const char *id = header(head, head_end, "x-sse-id", &id_length);
	struct topic *topic = name ? find_topic(name, length, 0) : NULL;
	if (!topic || !topic->count || id_length > 255) {
		put_text(c, "HTTP/1.1 204 No Content\r\n\r\n");
		return;
	}
	if (size + FRAME_EXTRA > frame_size) {
		frame_size = size + FRAME_EXTRA;
		frame = grow(frame, frame_size);
	}
	char start[300];
	int start_length = snprintf(start, sizeof start, "id: %.*s\ndata: ", (int)id_length, id ? id : "");
	size_t used = (size_t)sprintf(frame, "%zx\r\n", (size_t)start_length + size + 2);
	memcpy(frame + used, start, (size_t)start_length);
	used += (size_t)start_length;
	memcpy(frame + used, body, size);
	used += size;
	memcpy(frame + used, "\n\n\r\n", 4);
	used += 4;
	size_t count = topic->count;
	for (size_t i = 0; i < count; i++) put(topic->members[i], frame, used);
	char json[64], answer[256];
	int json_length = snprintf(json, sizeof json, "{\"subscribers\": %zu}", count);
	int answer_length = snprintf(answer, sizeof answer,
		"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s", json_length, json);
	put(c, answer, (size_t)answer_length);
}

static void subscribe(struct connection *c, const char *target, const char *target_end) {
	const char *topic = memmem(target, (size_t)(target_end - target), "topic=", 6);
	topic = topic ? topic + 6 : target_end;
	put_text(c, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\n"
		"transfer-encoding: chunked\r\n\r\n13\r\nevent: open\ndata:\n\n\r\n");
	join_topic(c, find_topic(topic, (size_t)(target_end - topic), 1));
}

/* Answers the first request in the bytes, and returns how many of them it was; 0 when it is not complete. */
static size_t request(struct connection *c, const char *data, size_t size) {
	const char *end_of_head = memmem(data, size, "\r\n\r\n", 4);
	if (!end_of_head) return 0;
	const char *line_end = memmem(data, size, "\r\n", 2);
	const char *target = memchr(data, ' ', (size_t)(line_end - data));
	if (!target) return size;
	target++;
	const char *target_end = memchr(target, ' ', (size_t)(line_end - target));
	if (!target_end) target_end = line_end;
	const char *body = end_of_head + 4;
	size_t digits = 0, length = 0;
	const char *declared = header(line_end + 2, end_of_head, "content-length", &digits);
	for (size_t i = 0; i < digits; i++) length = length * 10 + (size_t)(declared[i] - '0');
	if ((size_t)(data + size - body) < length) return 0;
	if (!strncmp(target, "/sse", 4))
		subscribe(c, target, target_end);
	else if (!strncmp(target, "/publish", 8))
		publish(c, line_end + 2, end_of_head, body, length);
	else
		put_text(c, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
	return (size_t)(body - data) + length;
}

/* Returns 0 when the connection has ended. */
static int serve(struct connection *c) {
	ssize_t got = recv(c->fd, input, sizeof input, 0);
	if (got < 0) return errno == EAGAIN;
	if (got == 0) return 0;
	const char *data = input;
	size_t size = (size_t)got;
	if (c->in_used) {
		if (c->in_used + size > c->in_size) {
			c->in_size = (c->in_used + size) * 2;
			c->in = grow(c->in, c->in_size);
		}
		memcpy(c->in + c->in_used, input, size);
		c->in_used += size;
		data = c->in;
		size = c->in_used;
	}
	size_t used = 0, step;
	while (used < size && (step = request(c, data + used, size - used))) used += step;
	size_t left = size - used;
	if (left && data == input) {
		if (left > c->in_size) {
			c->in_size = left;
			c->in = grow(c->in, left);
		}
		memcpy(c->in, data + used, left);
	} else if (left && used) {
		memmove(c->in, c->in + used, left);
	}
	c->in_used = left;
	return 1;
}

static void take(int listener) {
	int on = 1, fd;
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		struct connection *c = calloc(1, sizeof *c);
		if (!c) fail("calloc");
		c->fd = fd;
		watch(c, EPOLLIN, EPOLL_CTL_ADD);
	}
	if (errno != EAGAIN && errno != ECONNABORTED) fail("accept4");
}

int main(int count, char **arguments) {
	if (count != 2) return 2;
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons((uint16_t)atoi(arguments[1]))};
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 65535))
		fail("listen");
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS];
	if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event)) fail("epoll");
	for (;;) {
		int ready = epoll_wait(epoll_fd, events, EVENTS, -1);
		if (ready < 0 && errno != EINTR) fail("epoll_wait");
		for (int i = 0; i < ready; i++) {
			struct connection *c = events[i].data.ptr;
			if (!c) {
				take(listener);
				continue;
			}
			if (events[i].events & EPOLLOUT) flush(c);
			if (events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR) && !serve(c)) end(c);
		}
	}
}
