import { QueryClientProvider, useQueryClient } from "@tanstack/react-query";
import { LogOut } from "lucide-react";
import { useEffect, useRef, useState } from "react";

import { Button } from "@/components/ui/button";
import { ConnectionsPage } from "@/features/connections/connections-page";
import { TailPage } from "@/features/tail/tail-page";
import { TopicsPage } from "@/features/topics/topics-page";
import icon from "@/icon.svg";
import { cn } from "@/shared/cn";
import { Link, useLocation } from "@/shared/location";
import { makeQueryClient } from "@/shared/query";
import { signOut, useSession } from "@/shared/session";

import { NodesMenu } from "./nodes-menu";
import { SignInAgain, SignInPage } from "./sign-in";
import { SourcesMenu } from "./sources-menu";
import { ThemeMenu } from "./theme-menu";
import { Totals } from "./totals";

const VIEWS = [
  { name: "topics", label: "Topics", Page: TopicsPage },
  { name: "connections", label: "Connections", Page: ConnectionsPage },
  { name: "tail", label: "Tail Events", Page: TailPage },
] as const;

export function App() {
  const [queries] = useState(makeQueryClient);
  return (
    <QueryClientProvider client={queries}>
      <Gate />
    </QueryClientProvider>
  );
}

function Gate() {
  const { key, refused } = useSession();
  const queries = useQueryClient();
  const before = useRef(key);
  useEffect(() => {
    if (before.current === key) return;
    before.current = key;
    // What one key was shown is not for the next user; a new key in place of a refused one asks everything again.
    if (key === null) queries.clear();
    else
      void queries
        .resetQueries({ predicate: ({ state }) => state.status === "error" })
        .then(() => queries.invalidateQueries());
  }, [key, queries]);
  if (key === null) return <SignInPage icon={icon} />;
  return (
    <>
      <Dashboard />
      {refused && <SignInAgain />}
    </>
  );
}

function Dashboard() {
  const asked = useLocation().parameters.get("view");
  const view = VIEWS.find(({ name }) => name === asked) ?? VIEWS[0];
  useEffect(() => {
    document.title = `${view.label} · SSE gateway`;
  }, [view]);
  return (
    <>
      <a
        href="#main"
        className="sr-only focus:not-sr-only focus:fixed focus:top-2 focus:left-2 focus:z-50 focus:rounded focus:bg-raised focus:px-3 focus:py-2"
      >
        Skip to the content
      </a>
      <header className="border-b border-border bg-surface">
        <div className="mx-auto flex max-w-[90rem] flex-wrap items-center gap-x-4 px-3 sm:px-5">
          <span className="flex items-center gap-2 py-2.5 font-semibold">
            <img src={icon} alt="" className="size-6" />
            <span className="hidden sm:inline">SSE gateway</span>
            <span className="text-xs font-normal text-muted-foreground" title="The dashboard’s version">
              {__VERSION__}
            </span>
          </span>
          <div className="ml-auto flex items-center sm:order-last">
            <SourcesMenu />
            <NodesMenu />
            <ThemeMenu />
            <Button variant="ghost" size="small" onClick={signOut} aria-label="Sign out" title="Sign out">
              <LogOut />
            </Button>
          </div>
          <nav aria-label="Views" className="-mb-px flex w-full gap-1 self-end overflow-x-auto sm:w-auto">
            {VIEWS.map(({ name, label }) => (
              <Link
                key={name}
                to={{ view: name }}
                aria-current={name === view.name ? "page" : undefined}
                className={cn(
                  "border-b-2 border-transparent px-3 py-3 text-sm font-medium whitespace-nowrap text-muted-foreground hover:text-foreground focus-visible:outline-offset-[-2px]",
                  name === view.name && "border-primary text-foreground",
                )}
              >
                {label}
              </Link>
            ))}
          </nav>
        </div>
      </header>
      <main id="main" tabIndex={-1} className="mx-auto flex max-w-[90rem] flex-col gap-4 p-3 outline-none sm:p-5">
        <Totals />
        <view.Page key={view.name} />
      </main>
    </>
  );
}
