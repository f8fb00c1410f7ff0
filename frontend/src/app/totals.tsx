import { useQuery } from "@tanstack/react-query";

import { getStats } from "@/shared/api/client";
import type { Totals as Figures } from "@/shared/api/types";
import { cn } from "@/shared/cn";
import { clock, count, rate, shortCount } from "@/shared/format";
import { interval, OFTEN } from "@/shared/query";
import { Sparkline } from "@/shared/sparkline";

const LOOKS = 30;

type Rates = Figures["per_second"];

let course: Rates[] = [];

interface Look {
  totals: Figures;
  /** Rates of the last looks, oldest first. */
  course: readonly Rates[];
}

async function look(signal: AbortSignal): Promise<Look> {
  const totals = await getStats(signal);
  course = [...course, totals.per_second].slice(-LOOKS);
  return { totals, course };
}

const COUNTERS = [
  { name: "published", label: "Published", hint: "Events accepted and handed to the nodes" },
  { name: "delivered", label: "Delivered", hint: "Events handed to connections" },
  { name: "dropped", label: "Dropped", hint: "Publishes that nobody was connected for" },
  { name: "gaps", label: "Missed", hint: "Events that connections were told they missed" },
] as const;

/** Totals over all nodes, and rates. */
export function Totals() {
  const { data, error, dataUpdatedAt } = useQuery({
    queryKey: ["stats"],
    queryFn: ({ signal }) => look(signal),
    refetchInterval: interval(OFTEN),
  });
  const totals = data?.totals;
  return (
    <section aria-label="Totals">
      <dl className="grid grid-cols-3 gap-px overflow-hidden rounded-lg border border-border bg-border lg:grid-cols-6">
        <Figure label="Connections" hint="Open now" value={totals && count(totals.connections)} />
        <Figure label="Topics" hint="That exist now" value={totals && count(totals.topics)} />
        {COUNTERS.map(({ name, label, hint }) => (
          <Figure
            key={name}
            label={label}
            hint={hint}
            value={totals && shortCount(totals[name])}
            perSecond={totals?.per_second[name]}
            course={data?.course.map((rates) => rates[name])}
            alarming={(name === "dropped" || name === "gaps") && (totals?.per_second[name] ?? 0) > 0}
          />
        ))}
      </dl>
      {error && (
        <p role="status" className="mt-2 text-sm text-warning">
          {error.message} {data ? `The totals are from ${clock(dataUpdatedAt)}.` : ""} Trying again.
        </p>
      )}
    </section>
  );
}

interface FigureProps {
  label: string;
  hint: string;
  value: string | undefined;
  perSecond?: number | undefined;
  course?: readonly number[] | undefined;
  alarming?: boolean;
}

function Figure({ label, hint, value, perSecond, course: values, alarming = false }: FigureProps) {
  return (
    <div className="flex min-w-0 flex-col bg-surface px-3 py-2" title={hint}>
      <dt className="truncate text-xs text-muted-foreground">{label}</dt>
      <dd className="flex flex-col sm:flex-row sm:flex-wrap sm:items-end sm:gap-x-2">
        <span className="text-lg leading-6 font-semibold tabular-nums">{value ?? "–"}</span>
        {perSecond !== undefined && (
          <span
            className={cn(
              "text-xs leading-5 whitespace-nowrap tabular-nums",
              alarming ? "text-danger" : "text-muted-foreground",
            )}
          >
            {rate(perSecond)}/s
          </span>
        )}
        {values && (
          <Sparkline
            values={values}
            length={LOOKS}
            width={40}
            height={20}
            className={cn("ml-auto hidden sm:block", alarming ? "text-danger" : "text-primary")}
          />
        )}
      </dd>
    </div>
  );
}
