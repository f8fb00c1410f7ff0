import { expect, test } from "vitest";

import { TopicRates, TREND_LENGTH } from "./rates";

const topic = (events: number) => [{ name: "news", events }];

test("a rate needs two looks", () => {
  const rates = new TopicRates();
  rates.look(topic(10), 0);
  expect(rates.of("news")).toEqual({ rate: null, trend: [] });
  rates.look(topic(30), 2000);
  expect(rates.of("news")).toEqual({ rate: 10, trend: [10] });
});

test("a topic that went and came back begins at zero", () => {
  const rates = new TopicRates();
  rates.look(topic(1000), 0);
  rates.look(topic(4), 2000);
  expect(rates.of("news").rate).toBe(2);
});

test("a topic that is not seen for a minute is forgotten, and the trend has an end", () => {
  const rates = new TopicRates();
  for (let look = 0; look < 2 * TREND_LENGTH; look += 1) rates.look(topic(look), look * 1000);
  expect(rates.of("news").trend).toHaveLength(TREND_LENGTH);
  rates.look([], 130_000);
  expect(rates.of("news")).toEqual({ rate: null, trend: [] });
});

test("two looks at one moment are one", () => {
  const rates = new TopicRates();
  rates.look(topic(1), 5);
  rates.look(topic(2), 5);
  expect(rates.of("news").rate).toBeNull();
});
