# The server as a static binary on a small image, not run as root.
FROM node:20-bookworm-slim AS pages
WORKDIR /src
COPY clientjs clientjs
COPY examples/workbook examples/workbook
RUN npm ci --prefix clientjs --no-audit --no-fund && npm ci --prefix examples/workbook --no-audit --no-fund \
  && npm run --prefix examples/workbook build

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
COPY --from=pages /src/examples/workbook examples/workbook
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /graphtide ./cmd/graphtide

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /graphtide /graphtide
ENV GRAPHTIDE_LISTEN=0.0.0.0:7420
EXPOSE 7420
ENTRYPOINT ["/graphtide"]
CMD ["serve"]
