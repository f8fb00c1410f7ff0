import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Radio } from "lucide-react";
import { useDeferredValue, useState, type SyntheticEvent } from "react";

import { Button } from "@/components/ui/button";
import { Input } from "@/components/ui/input";
import { listTopics } from "@/shared/api/client";
import { plural } from "@/shared/format";
import { Link, navigate } from "@/shared/location";
import { interval, SELDOM } from "@/shared/query";

const SUGGESTIONS = 12;

/** Whether a text can be a topic: 1 to 255 visible ASCII characters without a comma. */
export function isTopic(text: string): boolean {
  return /^[\x21-\x2b\x2d-\x7e]{1,255}$/.test(text);
}

/** Which topic to tail: typed, or picked from those that exist. */
export function TopicChooser() {
  const [typed, setTyped] = useState("");
  const [wrong, setWrong] = useState(false);
  const q = useDeferredValue(typed.trim());
  const { data, error, isPending } = useQuery({
    queryKey: ["topic suggestions", q],
    queryFn: ({ signal }) => listTopics({ limit: SUGGESTIONS, q }, signal),
    refetchInterval: interval(SELDOM),
    placeholderData: keepPreviousData,
  });
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    const topic = typed.trim();
    setWrong(!isTopic(topic));
    if (isTopic(topic)) navigate({ view: "tail", topic });
  };
  return (
    <div className="mx-auto mt-4 w-full max-w-xl rounded-xl border border-border bg-surface p-5 sm:mt-10">
      <h1 className="text-lg font-semibold">Tail Events</h1>
      <p className="mt-1 text-sm text-muted-foreground">
        Choose a topic to watch what is published to it, dropped publishes too. A tail is not a connection: it never
        makes a topic exist.
      </p>
      <form onSubmit={submit} noValidate className="mt-4 flex flex-col gap-1.5">
        <label htmlFor="tail-topic" className="text-sm font-medium">
          Topic
        </label>
        <div className="flex gap-2">
          <Input
            id="tail-topic"
            className="font-mono"
            autoComplete="off"
            autoCapitalize="off"
            spellCheck={false}
            autoFocus
            value={typed}
            aria-invalid={wrong}
            aria-describedby={wrong ? "tail-topic-wrong" : undefined}
            onChange={(event) => {
              setTyped(event.target.value);
              setWrong(false);
            }}
          />
          <Button type="submit" variant="primary">
            <Radio aria-hidden />
            Tail
          </Button>
        </div>
        {wrong && (
          <p id="tail-topic-wrong" role="alert" className="text-sm text-danger">
            A topic is 1 to 255 visible ASCII characters without a comma or a space.
          </p>
        )}
      </form>
      <h2 className="mt-5 text-sm font-medium text-muted-foreground">
        {data && data.total > 0 ? (q ? "Topics that match" : "Topics that exist now") : "Topics"}
      </h2>
      {isPending && (
        <p role="status" className="mt-2 text-sm text-muted-foreground">
          Loading topics
        </p>
      )}
      {error && !data && (
        <p role="alert" className="mt-2 text-sm text-danger">
          {error.message} A topic can be typed all the same.
        </p>
      )}
      {data?.total === 0 && (
        <p className="mt-2 text-sm text-muted-foreground">
          {q
            ? "None that exists matches; it can be tailed before anybody connects."
            : "None exists now; type the one that you wait for."}
        </p>
      )}
      {data && data.items.length > 0 && (
        <ul className="mt-1 divide-y divide-border/70">
          {data.items.map((topic) => (
            <li key={topic.name}>
              <Link
                to={{ view: "tail", topic: topic.name }}
                className="flex items-center gap-3 rounded px-2 py-2 hover:bg-muted"
              >
                <span className="min-w-0 flex-1 truncate font-mono text-[13px]">{topic.name}</span>
                <span className="text-xs text-muted-foreground tabular-nums">
                  {plural(topic.connections, "connection")}
                </span>
              </Link>
            </li>
          ))}
        </ul>
      )}
      {data && data.total > data.items.length && (
        <p className="mt-2 text-xs text-muted-foreground">
          {plural(data.total - data.items.length, "more topic")}; type a part of the name to find yours.
        </p>
      )}
    </div>
  );
}
