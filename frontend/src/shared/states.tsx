import { LoaderCircle, TriangleAlert, type LucideIcon } from "lucide-react";
import type { ReactNode } from "react";

import { Button } from "@/components/ui/button";

import { CopyButton } from "./copy-button";

interface EmptyStateProps {
  icon: LucideIcon;
  title: string;
  children?: ReactNode;
}

/** Nothing to show: why, and what to do next. */
export function EmptyState({ icon: Icon, title, children }: EmptyStateProps) {
  return (
    <div className="mx-auto flex max-w-xl flex-col items-center gap-3 px-4 py-14 text-center">
      <span className="grid size-11 place-items-center rounded-full bg-muted text-muted-foreground">
        <Icon aria-hidden className="size-5" />
      </span>
      <h2 className="text-base font-semibold">{title}</h2>
      <div className="flex w-full flex-col items-center gap-3 text-sm text-muted-foreground">{children}</div>
    </div>
  );
}

export function LoadingState({ label }: { label: string }) {
  return (
    <div role="status" className="flex items-center justify-center gap-2 py-16 text-sm text-muted-foreground">
      <LoaderCircle aria-hidden className="size-4 animate-spin" />
      {label}
    </div>
  );
}

interface ErrorStateProps {
  error: Error;
  onRetry: () => void;
  children?: ReactNode;
}

/** It failed: what the gateway says about it, and what to do next. */
export function ErrorState({ error, onRetry, children }: ErrorStateProps) {
  return (
    <div role="alert" className="mx-auto flex max-w-xl flex-col items-center gap-3 px-4 py-14 text-center">
      <span className="grid size-11 place-items-center rounded-full bg-danger-muted text-danger">
        <TriangleAlert aria-hidden className="size-5" />
      </span>
      <p className="text-sm break-words">{error.message}</p>
      <div className="flex flex-wrap justify-center gap-2">
        <Button onClick={onRetry}>Try again</Button>
        {children}
      </div>
    </div>
  );
}

/** What is shown is old, since the last look failed. */
export function StaleNotice({ error, since }: { error: Error; since: string }) {
  return (
    <p role="status" className="flex items-center gap-2 bg-warning-muted px-3 py-2 text-sm text-warning">
      <TriangleAlert aria-hidden className="size-4 shrink-0" />
      <span>
        {error.message} This is how it was at {since}; the dashboard keeps trying.
      </span>
    </p>
  );
}

/** A command to paste into a terminal. */
export function CommandLine({ command, label }: { command: string; label: string }) {
  return (
    <div className="flex w-full items-center gap-1 rounded-lg border border-border bg-surface py-1 pr-1 pl-3 text-left">
      <code
        className="flex-1 overflow-x-auto py-1 font-mono text-[13px] whitespace-nowrap text-foreground"
        tabIndex={0}
      >
        {command}
      </code>
      <CopyButton text={() => command} label={label} />
    </div>
  );
}
