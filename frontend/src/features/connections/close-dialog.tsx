import { useMutation, useQueryClient } from "@tanstack/react-query";

import {
  AlertDialog,
  AlertDialogCancel,
  AlertDialogContent,
  AlertDialogDescription,
  AlertDialogTitle,
} from "@/components/ui/alert-dialog";
import { Button } from "@/components/ui/button";
import { closeConnection } from "@/shared/api/client";
import type { Connection } from "@/shared/api/types";
import { plural } from "@/shared/format";

import { TRANSPORTS } from "./transports";

interface CloseDialogProps {
  /** None: no question is asked. */
  connection: Connection | null;
  onDone: (closed: boolean) => void;
}

/** Asks before a connection is closed, then closes it. */
export function CloseDialog({ connection, onDone }: CloseDialogProps) {
  const queries = useQueryClient();
  const close = useMutation({
    mutationFn: closeConnection,
    onSuccess: async () => {
      await queries.invalidateQueries({ queryKey: ["connections"] });
      onDone(true);
    },
  });
  const onOpenChange = (open: boolean) => {
    if (open) return;
    close.reset();
    onDone(false);
  };
  return (
    <AlertDialog open={connection !== null} onOpenChange={onOpenChange}>
      {connection && (
        <AlertDialogContent>
          <AlertDialogTitle>Close this connection?</AlertDialogTitle>
          <AlertDialogDescription>
            The {TRANSPORTS[connection.transport]} connection of {connection.client || "an unknown address"} on{" "}
            {connection.node}, with {plural(connection.topics.length, "topic")}. The client is told that an
            administrator closed it. A browser’s EventSource comes back by itself.
          </AlertDialogDescription>
          <p className="font-mono text-[13px] break-all">{connection.id}</p>
          {close.error && (
            <p role="alert" className="text-sm text-danger">
              {close.error.message}
            </p>
          )}
          <div className="flex justify-end gap-2">
            <AlertDialogCancel asChild>
              <Button>Keep it</Button>
            </AlertDialogCancel>
            <Button variant="danger" disabled={close.isPending} onClick={() => close.mutate(connection.id)}>
              {close.isPending ? "Closing" : "Close connection"}
            </Button>
          </div>
        </AlertDialogContent>
      )}
    </AlertDialog>
  );
}
