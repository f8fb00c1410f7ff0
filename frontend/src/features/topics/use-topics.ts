import { keepPreviousData, useQuery } from "@tanstack/react-query";

import { listTopics, MAX_PAGE } from "@/shared/api/client";
import type { Topic } from "@/shared/api/types";
import { interval, OFTEN, SELDOM } from "@/shared/query";

import { TopicRates, type TopicRate } from "./rates";

/** Most topics that are loaded, so that sorting orders all of them; beyond, a search narrows the list. */
export const MAX_TOPICS = 5000;

export interface TopicRow extends Topic, TopicRate {}

export interface TopicList {
  rows: readonly TopicRow[];
  /** Topics that match, loaded or not. */
  total: number;
}

const rates = new TopicRates();

async function load(q: string, signal: AbortSignal): Promise<TopicList> {
  const topics: Topic[] = [];
  let cursor: string | null = null;
  let total: number;
  do {
    const page = await listTopics({ limit: MAX_PAGE, q, cursor }, signal);
    topics.push(...page.items);
    cursor = page.next;
    total = page.total;
  } while (cursor !== null && topics.length < MAX_TOPICS);
  rates.look(topics, performance.now());
  return { rows: topics.map((topic) => ({ ...topic, ...rates.of(topic.name) })), total };
}

/** The topics whose names hold a text, with their rates. */
export function useTopics(q: string) {
  return useQuery({
    queryKey: ["topics", q],
    queryFn: ({ signal }) => load(q, signal),
    // Ten pages every two seconds would be more than a look is worth.
    refetchInterval: (query) => interval((query.state.data?.total ?? 0) > MAX_PAGE ? SELDOM : OFTEN)(query),
    placeholderData: keepPreviousData,
    structuralSharing: false,
  });
}
