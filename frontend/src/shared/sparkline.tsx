interface SparklineProps {
  /** Oldest first. */
  values: readonly number[];
  /** How many values fill the width. */
  length: number;
  width?: number;
  height?: number;
  className?: string;
}

/** The course of a figure, without scale or label: the figure itself stands beside it. */
export function Sparkline({ values, length, width = 72, height = 20, className }: SparklineProps) {
  const top = Math.max(...values, 1e-9);
  const step = width / (length - 1);
  const first = width - (values.length - 1) * step;
  const points = values.map(
    (value, index) =>
      `${(first + index * step).toFixed(1)},${(height - 1.5 - (value / top) * (height - 3)).toFixed(1)}`,
  );
  const line = points.join(" ");
  return (
    <svg aria-hidden className={className} width={width} height={height} viewBox={`0 0 ${width} ${height}`}>
      <line x1={0} x2={width} y1={height - 0.5} y2={height - 0.5} stroke="currentColor" opacity={0.25} />
      {points.length > 1 && (
        <>
          <polygon
            points={`${first.toFixed(1)},${height} ${line} ${width},${height}`}
            fill="currentColor"
            opacity={0.14}
          />
          <polyline points={line} fill="none" stroke="currentColor" strokeWidth={1.5} strokeLinejoin="round" />
        </>
      )}
    </svg>
  );
}
