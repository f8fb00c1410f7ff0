import type { ReactNode } from "react";

import { Button } from "@/components/ui/button";
import { Dialog, DialogContent, DialogDescription, DialogTitle } from "@/components/ui/dialog";
import type { Connection } from "@/shared/api/types";
import { CopyButton } from "@/shared/copy-button";
import { ago, plural, size } from "@/shared/format";
import { Link } from "@/shared/location";
import { useNow } from "@/shared/now";
import { visibleLine } from "@/shared/visible";

import { TRANSPORTS } from "./transports";

interface ConnectionDetailsProps {
  /** None: closed. */
  connection: Connection | null;
  onOpenChange: (open: boolean) => void;
  onClose: (connection: Connection) => void;
}

export function ConnectionDetails({ connection, onOpenChange, onClose }: ConnectionDetailsProps) {
  return (
    <Dialog open={connection !== null} onOpenChange={onOpenChange}>
      {connection && (
        <DialogContent className="max-w-xl">
          <DialogTitle>Connection</DialogTitle>
          <DialogDescription className="sr-only">What the gateway knows of this connection.</DialogDescription>
          <Details connection={connection} />
          <Button variant="danger" className="justify-self-start" onClick={() => onClose(connection)}>
            Close this connection
          </Button>
        </DialogContent>
      )}
    </Dialog>
  );
}

function Details({ connection }: { connection: Connection }) {
  const now = useNow();
  return (
    <dl className="grid grid-cols-[5.5rem_1fr] gap-x-4 gap-y-2 text-sm sm:grid-cols-[7rem_1fr]">
      <Item name="Id">
        <span className="flex items-center gap-1">
          <span className="font-mono text-[13px] break-all">{connection.id}</span>
          <CopyButton text={() => connection.id} label="Copy id" />
        </span>
      </Item>
      <Item name={plural(connection.topics.length, "topic")}>
        <ul className="max-h-56 overflow-y-auto" tabIndex={0} aria-label="Topics of this connection">
          {connection.topics.map((topic) => (
            <li key={topic}>
              <Link
                to={{ view: "tail", topic }}
                className="font-mono text-[13px] break-all text-primary underline-offset-2 hover:underline"
              >
                {topic}
              </Link>
            </li>
          ))}
        </ul>
      </Item>
      <Item name="Transport">{TRANSPORTS[connection.transport]}</Item>
      <Item name="Node">{connection.node}</Item>
      <Item name="Client">{connection.client || "unknown"}</Item>
      <Item name="User agent">
        <bdi className="break-words">{visibleLine(connection.user_agent) || "not told"}</bdi>
      </Item>
      <Item name="Open for">
        <Moment time={connection.since} now={now} />
      </Item>
      {connection.sent === null || connection.pending === null || connection.pending_bytes === null ? (
        <Item name="Traffic">Not known: its node does not answer</Item>
      ) : (
        <>
          <Item name="Sent">{plural(connection.sent, "event")}</Item>
          <Item name="Pending">
            {plural(connection.pending, "event")} not yet written, {size(connection.pending_bytes)}
          </Item>
        </>
      )}
      {connection.behind_since !== null && (
        <Item name="Behind for">
          <Moment time={connection.behind_since} now={now} />
        </Item>
      )}
    </dl>
  );
}

/** How long ago, and exactly when. */
function Moment({ time, now }: { time: string; now: number }) {
  return (
    <>
      {ago(time, now)}, <span className="text-muted-foreground">since {time}</span>
    </>
  );
}

function Item({ name, children }: { name: string; children: ReactNode }) {
  return (
    <>
      <dt className="text-muted-foreground">{name}</dt>
      <dd className="min-w-0">{children}</dd>
    </>
  );
}
